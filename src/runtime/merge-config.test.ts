import { describe, expect, test } from 'vitest'
import { mergeEnv, mergeRunConfig } from './merge-config.ts'
import { defaultPath, processEnv } from './process-env.ts'
import { resolveCommand } from './resolve-command.ts'

describe('commands', () => {
  const image = { Entrypoint: ['/entry', 'a'], Cmd: ['b'] }
  test.each([
    ['image', {}, ['/entry', 'a', 'b'], 2],
    ['command', { command: ['c', 'd'] }, ['/entry', 'a', 'c', 'd'], 2],
    ['no arguments', { command: [] }, ['/entry', 'a'], 2],
    ["entrypoint drops the image's command", { entrypoint: ['/x'] }, ['/x'], 1],
    ['both', { entrypoint: ['/x'], command: ['y'] }, ['/x', 'y'], 1],
    ['none', { entrypoint: null, command: ['y'] }, ['y'], 0],
    ['none as a list', { entrypoint: [], command: ['y'] }, ['y'], 0],
  ])('%s', (_, overrides, argv, entrypointLength) => {
    expect(resolveCommand(image, overrides)).toEqual({ argv, entrypointLength })
  })

  test('nobody says what to run', () => {
    expect(resolveCommand(undefined, {})).toBeNull()
    expect(resolveCommand(image, { entrypoint: null })).toBeNull()
    expect(resolveCommand({ Entrypoint: null, Cmd: null }, {})).toBeNull()
  })

  test('what cannot be executed', () => {
    for (const command of [[''], ['', 'a'], ['a\0b'], ['a', 'b\0']])
      expect(() => resolveCommand(undefined, { command })).toThrow(
        expect.objectContaining({ code: 'runtime.bad_command' }),
      )
    expect(resolveCommand(undefined, { command: ['a', ''] })?.argv).toEqual(['a', ''])
  })
})

describe('run configuration', () => {
  test('an image without any', () => {
    expect(mergeRunConfig(undefined, {})).toEqual({
      command: null,
      env: [],
      user: '',
      workdir: '/',
      stopSignal: 15,
      exposedPorts: [],
    })
  })

  test('the image, and over it the container', () => {
    const image = {
      Env: ['PATH=/image', 'A=1', 'B=2'],
      User: 'app',
      WorkingDir: '/srv/',
      StopSignal: 'SIGINT',
      Cmd: ['run'],
      ExposedPorts: { '80/tcp': {}, '53/udp': {} },
    }
    expect(mergeRunConfig(image, {})).toMatchObject({
      user: 'app',
      workdir: '/srv',
      stopSignal: 2,
      exposedPorts: ['80/tcp', '53/udp'],
    })
    expect(
      mergeRunConfig(image, { env: { A: 'x', C: '', B: undefined }, user: '0', workdir: '/a//b/../c', stopSignal: 9 }),
    ).toMatchObject({ env: ['PATH=/image', 'A=x', 'C='], user: '0', workdir: '/a/c', stopSignal: 9 })
  })

  test('old and odd images', () => {
    expect(mergeRunConfig({ WorkingDir: 'srv', StopSignal: '' }, {})).toMatchObject({ workdir: '/srv', stopSignal: 15 })
    expect(mergeRunConfig({ WorkingDir: '../../x' }, {}).workdir).toBe('/x')
    expect(mergeEnv(['A=1', 'A=2', 'novalue', '=x', 'B=a=b'], {})).toEqual(['A=2', 'B=a=b'])
  })

  test('bad input', () => {
    for (const overrides of [
      { workdir: 'relative' },
      { workdir: '/a\0' },
      { env: { '': 'x' } },
      { env: { 'A=B': 'x' } },
      { env: { A: 'x\0' } },
    ])
      expect(() => mergeRunConfig(undefined, overrides)).toThrow(
        expect.objectContaining({ code: 'runtime.bad_command' }),
      )
    expect(() => mergeRunConfig({ StopSignal: 'SIGNOPE' }, {})).toThrow(
      expect.objectContaining({ code: 'runtime.bad_signal' }),
    )
  })

  test('the environment of a process', () => {
    const base = { hostname: 'h', home: '/root', terminal: false }
    expect(processEnv({ ...base, env: ['A=1'] })).toEqual([`PATH=${defaultPath}`, 'HOSTNAME=h', 'HOME=/root', 'A=1'])
    expect(processEnv({ ...base, terminal: true, env: ['HOME=/x', 'TERM=dumb', 'PATH=', 'HOSTNAME=other'] })).toEqual([
      'HOME=/x',
      'TERM=dumb',
      'PATH=',
      'HOSTNAME=other',
    ])
  })
})
