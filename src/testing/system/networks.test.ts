import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { endMonitor } from '../../engine/root-processes.ts'
import type { Engine } from '../../index.ts'
import { RootPaths } from '../../state/paths.ts'
import { busyboxRoot, imageName } from './busybox-engine.ts'

const nft = (...args: readonly string[]) => execFileSync('nft', args, { encoding: 'utf8', stdio: 'pipe' })

/** The bridge of a root; other roots on this host have others. */
const bridgeOf = async (engine: Engine) =>
  `tscbr${(await (await engine.networks.get('bridge')).inspect()).id.slice(0, 10)}`

async function waitFor(what: string, check: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 15_000; Date.now() < deadline; await sleep(50)) if (check()) return
  throw new Error(`waited in vain: ${what}`)
}

test('rules of adopted containers come back when somebody else removes them, and a reset takes all of it', async () => {
  let bridge = ''
  {
    await using fixture = await busyboxRoot()
    await using engine = await fixture.open()
    const container = await engine.containers.run({
      image: imageName,
      lifetime: 'detached',
      stopTimeout: 100,
      command: ['sleep', '1000'],
    })
    bridge = await bridgeOf(engine)
    const table = `tscontainer-${bridge}`
    expect(existsSync(`/sys/class/net/${bridge}`)).toBe(true)
    const present = () => nft('list', 'tables').includes(table)
    expect(present()).toBe(true)
    // The monitor that attached it dies, and the rules vanish while nobody looks.
    {
      using _nobody = await endMonitor(new RootPaths(fixture.root))
      nft('delete', 'table', 'inet', table)
    }
    await using other = await fixture.open()
    await waitFor('the next monitor restores the rules', present)
    await (await other.containers.get(container.id)).exec(['true'])
    // And as often as somebody takes them away.
    nft('delete', 'table', 'inet', table)
    await waitFor('the monitor restores them again', present)
    await container.remove({ force: true })
  }
  // The fixture resets its root.
  expect(existsSync(`/sys/class/net/${bridge}`)).toBe(false)
  expect(nft('list', 'tables')).not.toContain(bridge)
})
