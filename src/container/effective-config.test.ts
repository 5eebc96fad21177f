import { describe, expect, test } from 'vitest'
import type { ImageRunConfig } from '../oci/image-config.ts'
import { mergeRunConfig, type RunOverrides } from '../runtime/merge-config.ts'
import { effectiveConfig } from './effective-config.ts'
import type { StoredSpec } from './stored-spec.ts'

/** The spec of a container of an image, as far as it matters here. */
function specOf(image: ImageRunConfig, overrides: RunOverrides = {}, more: Partial<StoredSpec> = {}): StoredSpec {
  const run = mergeRunConfig(image, overrides)
  const digest = `sha256:${'0'.repeat(64)}` as StoredSpec['image']['id']
  return {
    image: { id: digest, manifest: digest, name: 'x', chain: null },
    argv: run.command!.argv,
    entrypointLength: run.command!.entrypointLength,
    env: run.env,
    user: run.user,
    workdir: run.workdir,
    hostname: 'host',
    labels: { ...image.Labels },
    stdin: false,
    autoRemove: false,
    networks: 'none',
    mounts: [],
    readOnlyRoot: false,
    resources: {},
    ulimits: {},
    shmBytes: 1,
    log: { driver: 'json-file', options: {} },
    stopSignal: run.stopSignal,
    stopTimeoutMs: image.StopTimeout ? image.StopTimeout * 1000 : 10_000,
    exposedPorts: run.exposedPorts,
    ...more,
  }
}

const full: ImageRunConfig = {
  User: 'web',
  ExposedPorts: { '80/tcp': {} },
  Env: ['A=1', 'B=2'],
  Entrypoint: ['/entry'],
  Cmd: ['serve'],
  Volumes: { '/data': {} },
  WorkingDir: '/srv',
  Labels: { a: 'b' },
  StopSignal: 'SIGQUIT',
  StopTimeout: 30,
  Shell: ['/bin/bash', '-c'],
  Healthcheck: { Test: ['CMD', 'true'] },
}

describe('the configuration of a commit', () => {
  test('without overrides it is the image’s', () => {
    expect(effectiveConfig(specOf(full), full)).toEqual(full)
    const small: ImageRunConfig = { Cmd: ['sh'] }
    expect(effectiveConfig(specOf(small), small)).toEqual(small)
  })

  test('a command replaces Cmd; an entrypoint replaces both', () => {
    expect(effectiveConfig(specOf(full, { command: ['other'] }), full)).toMatchObject({
      Entrypoint: ['/entry'],
      Cmd: ['other'],
    })
    const entry = effectiveConfig(specOf(full, { entrypoint: ['/mine'] }), full)
    expect(entry.Entrypoint).toEqual(['/mine'])
    expect(entry).not.toHaveProperty('Cmd')
    const none = effectiveConfig(specOf(full, { entrypoint: null, command: ['bare'] }), full)
    expect(none.Cmd).toEqual(['bare'])
    expect(none).not.toHaveProperty('Entrypoint')
  })

  test('what the container was given stands', () => {
    const overrides = { env: { B: undefined, C: '3' }, user: 'root', workdir: '/', stopSignal: 'SIGTERM' }
    expect(effectiveConfig(specOf(full, overrides, { stopTimeoutMs: 1500 }), full)).toMatchObject({
      Env: ['A=1', 'C=3'],
      User: 'root',
      WorkingDir: '/',
      StopSignal: 'SIGTERM',
      StopTimeout: 2,
    })
  })

  test('ONBUILD triggers do not go on', () => {
    const image = { ...full, OnBuild: ['RUN true'] }
    expect(effectiveConfig(specOf(image), image)).toEqual(full)
  })
})
