import type { ImageRunConfig } from '../oci/image-config.ts'
import { parseSignal, signalName } from '../runtime/signals.ts'
import type { StoredSpec } from './stored-spec.ts'

type Changeable = { -readonly [K in keyof ImageRunConfig]: ImageRunConfig[K] }

/** What a container has when neither its image nor its spec say it. */
const defaultStopTimeoutMs = 10_000

/**
 * How a container runs, as an image's configuration: what its image says with what the container was given instead.
 * ONBUILD triggers are for builds upon that image and do not go on, as with Docker.
 */
export function effectiveConfig(spec: StoredSpec, image: ImageRunConfig): ImageRunConfig {
  const { OnBuild: _, Entrypoint: _entrypoint, Cmd: _cmd, ...kept } = image
  const entrypoint = spec.argv.slice(0, spec.entrypointLength)
  const command = spec.argv.slice(spec.entrypointLength)
  const config: Changeable = { ...kept }
  if (spec.user !== '' || kept.User !== undefined) config.User = spec.user
  if (spec.exposedPorts.length > 0)
    config.ExposedPorts = Object.fromEntries(spec.exposedPorts.map((port) => [port, {}]))
  if (spec.env.length > 0 || kept.Env !== undefined) config.Env = spec.env
  if (entrypoint.length > 0) config.Entrypoint = entrypoint
  if (command.length > 0) config.Cmd = command
  if (spec.workdir !== '/' || kept.WorkingDir) config.WorkingDir = spec.workdir
  if (Object.keys(spec.labels).length > 0) config.Labels = spec.labels
  if (spec.stopSignal !== parseSignal(kept.StopSignal || 'SIGTERM'))
    config.StopSignal = signalName(spec.stopSignal) ?? String(spec.stopSignal)
  if (spec.stopTimeoutMs !== (kept.StopTimeout ? kept.StopTimeout * 1000 : defaultStopTimeoutMs))
    config.StopTimeout = Math.ceil(spec.stopTimeoutMs / 1000)
  return config
}
