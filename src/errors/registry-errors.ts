import { defineErrors } from './family.ts'

/** Failures of talking to registries. Details carry `registry`, and `status` where one answered. */
export const registryErrors = defineErrors('registry', {
  unauthorized: {
    kind: 'unauthenticated',
    help: 'The registry wants credentials, or refused those it got. Log in with `docker login`, or give them in code.',
  },
  denied: {
    kind: 'permission_denied',
    help: 'The registry knows who asks and says no. Private repositories that do not exist answer so as well.',
  },
  not_found: {
    kind: 'not_found',
    help: 'The registry has no such repository, tag, manifest or blob. Check the name and the tag.',
  },
  rate_limited: {
    kind: 'resource_exhausted',
    help: 'The registry allows no more requests for now, also after waiting. Log in for a higher limit, or use a mirror.',
  },
  unreachable: {
    kind: 'unavailable',
    help: 'No connection: look at the name, the network, the proxy (HTTPS_PROXY, NO_PROXY) and whether the registry runs.',
  },
  tls: {
    kind: 'unavailable',
    help: 'The certificate was not accepted. Give the registry its own CA, or make it insecure in the configuration.',
  },
  plain_http: {
    kind: 'failed_precondition',
    help: 'The registry speaks plain HTTP. That is allowed on loopback, elsewhere only with `insecure` in the configuration.',
  },
  server_error: {
    kind: 'unavailable',
    help: 'The registry answered with an error of its own, also when asked again. Try later.',
  },
  bad_answer: {
    kind: 'data_loss',
    help: 'What answered does not behave as the OCI distribution specification says. Is it a registry?',
  },
  refused_request: {
    kind: 'invalid_argument',
    help: 'The registry did not accept what it was sent; the message holds its words.',
  },
  stalled: { kind: 'timeout', help: 'The registry stopped sending. A later attempt goes on where this one stopped.' },
  too_large: { kind: 'resource_exhausted', help: 'An answer is larger than the limit for its kind.' },
  bad_redirect: {
    kind: 'data_loss',
    help: 'The registry redirected in a circle or to something that is no HTTP address.',
  },
  bad_config: {
    kind: 'invalid_argument',
    help: 'The configuration of a registry is wrong. The message names the key.',
  },
  bad_credentials_file: {
    kind: 'invalid_argument',
    help: "Docker's config.json is not readable as JSON, or an entry in it is malformed. The message names it, never its secret.",
  },
  helper_failed: {
    kind: 'unavailable',
    help: 'A credential helper could not be run or gave no usable answer. Run `docker-credential-<name> get` by hand.',
  },
  credentials_not_stored: {
    kind: 'unavailable',
    help: "A login could not be written into Docker's config.json. Look at the permissions and the free space there.",
  },
  no_search: {
    kind: 'unsupported',
    help: 'The registry has neither a search nor a catalogue of its repositories. Ask it for the tags of a name.',
  },
  blocked: { kind: 'permission_denied', help: 'The configuration blocks this registry.' },
  offline: { kind: 'failed_precondition', help: 'The engine was opened offline and may use no network.' },
  unsupported_manifest: {
    kind: 'unsupported',
    help: 'The manifest is of a kind that holds no runnable image (schema 1, an artifact). Have it built anew.',
  },
})
