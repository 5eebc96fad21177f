import type { EngineError } from '../errors/engine-error.ts'
import { registryErrors } from '../errors/registry-errors.ts'
import { shownCause } from './without-secrets.ts'

const tlsCodes =
  /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH$|INVALID_CA$|PATH_LENGTH_)/

function codesOf(error: unknown): { readonly code: string; readonly message: string } {
  // The innermost cause says most.
  let found = { code: '', message: error instanceof Error ? error.message : String(error) }
  for (let at = error; at instanceof Error; at = at.cause)
    if ('code' in at && typeof at.code === 'string') found = { code: at.code, message: at.message }
  return found
}

/** Whether the other side answered a TLS greeting with something else. */
export function speaksNoTls(error: unknown): boolean {
  const { code, message } = codesOf(error)
  return (
    code === 'ERR_SSL_WRONG_VERSION_NUMBER' || (code === 'EPROTO' && /wrong version number|packet length/.test(message))
  )
}

/** The error of a request that got no answer. Secrets are in neither it nor its cause: no headers, no query. */
export function connectionFailure(error: unknown, url: URL, registry: string): EngineError {
  const cause = shownCause(error)
  const { code } = codesOf(error)
  const subject = { type: 'registry', id: registry }
  const details = { registry, host: url.host, code }
  if (speaksNoTls(error))
    return registryErrors.error('plain_http', {
      message: `${url.host} does not speak TLS. If plain HTTP is meant, say so: registries.hosts["${registry}"].insecure = true.`,
      subject,
      details,
      cause,
    })
  if (tlsCodes.test(code))
    return registryErrors.error('tls', {
      message: `The certificate of ${url.host} was not accepted (${code}). Give its authority in registries.hosts["${registry}"].ca.`,
      subject,
      details,
      cause,
    })
  return registryErrors.error('unreachable', {
    message: `${url.host} could not be reached (${code || cause.message}). ${registryErrors.codes.unreachable.help}`,
    subject,
    details,
    cause,
    // A name that does not exist will not exist in a second either.
    retryable: code !== 'ENOTFOUND' && code !== 'ERR_INVALID_URL',
  })
}
