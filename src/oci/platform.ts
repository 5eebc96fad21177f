/** Where an image runs. Source: OCI image-spec, image-index.md. */
export interface Platform {
  readonly architecture: string
  readonly os: string
  readonly variant?: string
  readonly 'os.version'?: string
  readonly 'os.features'?: readonly string[]
}

const goArchitectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  arm64: 'arm64',
  arm: 'arm',
  riscv64: 'riscv64',
  ppc64: 'ppc64le',
  s390x: 's390x',
  loong64: 'loong64',
}

/** The platform of this machine, in the names that images use. */
export function hostPlatform(): Platform {
  const architecture = goArchitectures[process.arch] ?? process.arch
  return architecture === 'arm64'
    ? { os: 'linux', architecture, variant: 'v8' }
    : architecture === 'arm'
      ? { os: 'linux', architecture, variant: 'v7' }
      : { os: 'linux', architecture }
}

/** `os/architecture[/variant]`. */
export const formatPlatform = (p: Platform): string =>
  p.variant ? `${p.os}/${p.architecture}/${p.variant}` : `${p.os}/${p.architecture}`
