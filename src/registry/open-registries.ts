import { DockerConfigCredentials, defaultDockerConfig, type RunHelper } from './docker-config.ts'
import { RegistryClient } from './registry-client.ts'
import type { RegistriesOptions } from './registry-options.ts'

export interface OpenRegistriesOptions {
  readonly config: RegistriesOptions
  readonly offline: boolean
  /** Runs credential helpers. */
  readonly run: RunHelper
  readonly env: NodeJS.ProcessEnv
}

/** The registries of an engine, with the credentials that Docker's command line has stored. */
export function openRegistries({ config, offline, run, env }: OpenRegistriesOptions): RegistryClient {
  const file = config.dockerConfig === undefined ? defaultDockerConfig(env) : config.dockerConfig
  return new RegistryClient({ config, docker: new DockerConfigCredentials(file, env, run), offline })
}
