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
    [
      ['ENV P=/bin', `ENV P=/opt:$P Q=$P R="\${P}:x" S='$P' T=\\$P`],
      { Env: ['P=/opt:/bin', 'Q=/bin', 'R=/bin:x', 'S=$P', 'T=$P'] },
    ],
    [['ENV A=1', `ENV B=\${A:+yes}"\${N:-no $A}"$N C=b"c d"e`], { Env: ['A=1', 'B=yesno 1', 'C=bc de'] }],
    [['ENV OLD say "two words" $'], { Env: ['OLD=say two words $'] }],
    [
      ['ENV D=/d U=me', 'LABEL at=$D', 'WORKDIR $D/x', 'USER $U', 'VOLUME $D "/a b"', 'EXPOSE 80-82'],
      {
        Env: ['D=/d', 'U=me'],
        Labels: { at: '/d' },
        WorkingDir: '/d/x',
        User: 'me',
        Volumes: { '/d': {}, '/a b': {} },
        ExposedPorts: { '80/tcp': {}, '81/tcp': {}, '82/tcp': {} },
      },
    ],
    [['CMD [ -f /x ] && y'], { Cmd: ['/bin/sh', '-c', '[ -f /x ] && y'] }],
    [['HEALTHCHECK CMD curl -f x'], { Healthcheck: { Test: ['CMD-SHELL', 'curl -f x'] } }],
  ])('%j', (lines, config) => {
    expect(change(...lines)).toEqual(config)
  })

  test('an entry point takes the command below it away, not one of the same changes', () => {
    const below = { Entrypoint: ['/init'], Cmd: ['serve'] }
    expect(applyConfigChanges(below, ['ENTRYPOINT ["/run"]'])).toEqual({ Entrypoint: ['/run'] })
    const changes = ['CMD ["go"]', 'ENTRYPOINT ["/run"]']
    expect(applyConfigChanges(below, changes)).toEqual({ Entrypoint: ['/run'], Cmd: ['go'] })
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
  'ENV A=1 B',
  'ENV A="x',
  `ENV A=\${B`,
  `ENV A=\${B:?x}`,
  'VOLUME ""',
  'EXPOSE 90-80',
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
