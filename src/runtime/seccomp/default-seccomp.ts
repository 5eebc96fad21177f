import type { SeccompPart } from '../build-spec.ts'
import { compiledArchitectures, compileFilter } from './compile-filter.ts'
import { defaultProfile } from './default-profile.ts'
import { selectRules } from './profile-rule.ts'
import { runtimeProfile } from './runtime-profile.ts'

/** How a runtime takes the filter: as rules that it compiles itself, or compiled, in crun's annotation. */
export type SeccompForm = 'profile' | 'crun-bpf'

export interface SeccompRequest {
  /** In the names of images: amd64, arm64, ... */
  readonly architecture: string
  /** `uname -r`. */
  readonly kernelRelease: string
  /** Of the container, `CAP_...`; some system calls go with one. */
  readonly capabilities: readonly string[]
  readonly form: SeccompForm
}

/**
 * Docker's default filter for a container. Compiling takes about a millisecond here and ten in a runtime, at every
 * start: keep the result. Machines whose system calls are not in our tables get the rules whatever the form.
 */
export function defaultSeccomp(request: SeccompRequest): SeccompPart {
  const rules = selectRules(defaultProfile, request)
  if (request.form === 'profile' || !compiledArchitectures.includes(request.architecture))
    return { profile: runtimeProfile(rules, request.architecture) }
  const filter = compileFilter(rules, request.architecture)
  return { annotations: { 'run.oci.seccomp_bpf_data': Buffer.from(filter).toString('base64') } }
}
