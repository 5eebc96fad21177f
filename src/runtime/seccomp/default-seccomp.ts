import type { SeccompPart } from '../build-spec.ts'

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

/** Docker's default filter for a container. */
export function defaultSeccomp(_request: SeccompRequest): SeccompPart {
  return {}
}
