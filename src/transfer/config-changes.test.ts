import { describe, expect, test } from 'vitest'
import { applyConfigChanges } from './config-changes.ts'

const change = (...lines: string[]) => applyConfigChanges({}, lines)

describe('what a line changes', () => {
  test.each<[string[], object]>([
    [['CMD ["sh", "-c", "x y"]'], { Cmd: ['sh', '-c', 'x y'] }],
    [['cmd echo  $HOME'], { Cmd: ['/bin/sh', '-c', 'echo  $HOME'] }],
    [['ENTRYPOINT ["/init"]', 'ENTRYPOINT ["/other"]'], { Entrypoint: ['/other'] }],
    [['ENV A=1 B="two words" C=a\\ b', 'ENV A=2'], { Env: ['A=2', 'B=two words', 'C=a b'] }],
    [['ENV OLD the rest of it'], { Env: ['OLD=the rest of it'] }],
    [['ENV EMPTY='], { Env: ['EMPTY='] }],
    [['EXPOSE 80 53/UDP'], { ExposedPorts: { '80/tcp': {}, '53/udp': {} } }],
    [['LABEL a=b "c d"=e'], { Labels: { a: 'b', 'c d': 'e' } }],
    [['ONBUILD RUN x', 'ONBUILD COPY . /'], { OnBuild: ['RUN x', 'COPY . /'] }],
    [['STOPSIGNAL SIGQUIT'], { StopSignal: 'SIGQUIT' }],
    [['USER 10:20'], { User: '10:20' }],
    [['VOLUME ["/a b"]', 'VOLUME /c /d'], { Volumes: { '/a b': {}, '/c': {}, '/d': {} } }],
    [['WORKDIR /a', 'WORKDIR b/../c'], { WorkingDir: '/a/c' }],
    [['HEALTHCHECK NONE'], { Healthcheck: { Test: ['NONE'] } }],
    [
      ['HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD ["true"]'],
      { Healthcheck: { Test: ['CMD', 'true'], Interval: 90e9, Timeout: 5e8, Retries: 3 } },
    ],
    [['HEALTHCHECK CMD curl -f x'], { Healthcheck: { Test: ['CMD-SHELL', 'curl -f x'] } }],
  ])('%j', (lines, config) => {
    expect(change(...lines)).toEqual(config)
  })

  test('the configuration given stays as it is', () => {
    const before = { Env: ['A=1'], Labels: { a: '1' } }
    expect(applyConfigChanges(before, ['ENV B=2', 'LABEL b=2'])).toEqual({
      Env: ['A=1', 'B=2'],
      Labels: { a: '1', b: '2' },
    })
    expect(before).toEqual({ Env: ['A=1'], Labels: { a: '1' } })
  })
})

test.each([
  'RUN rm -rf /',
  'FROM scratch',
  '__proto__ x',
  'constructor x',
  'CMD',
  '',
  'CMD ["sh"',
  'CMD [1]',
  'ENV A',
  'ENV =x',
  'EXPOSE 70000',
  'EXPOSE 80/icmp',
  'USER a b',
  'STOPSIGNAL SIGNOPE',
  'HEALTHCHECK curl',
  'HEALTHCHECK --interval=soon CMD x',
  'HEALTHCHECK --interval=1us CMD x',
  'HEALTHCHECK --retries=0 CMD x',
  'HEALTHCHECK --depth=1s CMD x',
  'HEALTHCHECK --retries=1 NONE',
])('%j is refused by name', (line) => {
  expect(() => change(line)).toThrow(expect.objectContaining({ kind: 'invalid_argument' }))
})
