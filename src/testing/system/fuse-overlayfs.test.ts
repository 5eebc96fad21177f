import { mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { writeBusyboxTarball } from '../../../examples/support/busybox-image.ts'
import { Engine } from '../../index.ts'
import { runSuiteInUserNamespace } from './user-namespace.ts'

/** Programs that serve mounts of a root. */
async function servers(root: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      if (!command.startsWith('fuse-overlayfs')) continue
      const directories = await readdir(`/proc/${pid}/fd`)
      if (directories.some((fd) => linksTo(`/proc/${pid}/fd/${fd}`, root))) found.push(pid)
    } catch {
      // It has ended.
    }
  }
  return found
}

function linksTo(link: string, root: string): boolean {
  try {
    return readlinkSync(link).startsWith(root)
  } catch {
    return false
  }
}

test('a container runs on it, and its server ends with it', async () => {
  const root = mkdtempSync(join(tmpdir(), 'fuse-overlayfs-'))
  try {
    await using engine = await Engine.open({ root, storage: { driver: 'fuse-overlayfs' } })
    await writeBusyboxTarball(join(root, 'busybox.tar'))
    const [image] = await engine.images.load(join(root, 'busybox.tar'))
    const command = ['sh', '-c', 'echo changed > /file && rm -f /bin/ls && read -r _']
    const container = await engine.containers.run({ image: image!, command, networks: 'none', stdin: true })
    const written = [
      'sh',
      '-c',
      'until grep -q changed /file && ! test -e /bin/ls; do usleep 20000; done 2>/dev/null; cat /file',
    ]
    expect((await container.exec(written)).stdout).toBe('changed\n')
    expect((await servers(root)).length).toBe(1)
    await container.kill('SIGKILL')
    await container.wait()
    // Another server, and what was written is there.
    await container.start()
    expect((await container.exec(written)).stdout).toBe('changed\n')
    await container.remove({ force: true })
    for (let waited = 0; waited < 5_000 && (await servers(root)).length > 0; waited += 50) await sleep(50)
    expect(await servers(root)).toEqual([])
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})

test('diff and commit compare whole trees, when the container does not run', async () => {
  const root = mkdtempSync(join(tmpdir(), 'fuse-overlayfs-'))
  try {
    await using engine = await Engine.open({ root, storage: { driver: 'fuse-overlayfs' } })
    await writeBusyboxTarball(join(root, 'busybox.tar'))
    const [image] = await engine.images.load(join(root, 'busybox.tar'))
    const script = 'echo changed > /file; rm /bin/ls; mkdir /done; exec sleep 1000'
    const container = await engine.containers.run({
      image: image!,
      command: ['sh', '-c', script],
      networks: 'none',
      stopTimeout: 0,
    })
    await container.exec(['sh', '-c', 'until test -d /done; do usleep 1000; done'])
    await expect(container.commit()).rejects.toMatchObject({
      code: 'container.unsupported_option',
      kind: 'unsupported',
    })
    expect((await container.inspect()).status).toBe('running')
    await container.stop()
    const changes: string[] = []
    for await (const { kind, path } of container.diff()) changes.push(`${kind} ${path}`)
    expect(changes).toEqual(['modified /bin', 'deleted /bin/ls', 'added /done', 'added /file'])
    const committed = await container.commit()
    await using copy = await engine.containers.run({
      image: committed,
      command: ['sh', '-c', 'test ! -e /bin/ls && test -d /done && cat /file'],
      networks: 'none',
    })
    expect(await copy.wait()).toMatchObject({ exitCode: 0 })
    await container.remove()
    await copy.remove()
    for (let waited = 0; waited < 5_000 && (await servers(root)).length > 0; waited += 50) await sleep(50)
    expect(await servers(root)).toEqual([])
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})

test('passes the suite as an unprivileged user in a user namespace', async () => {
  const { probe, failed, passed } = await runSuiteInUserNamespace('fuse-overlayfs')
  expect(probe).toMatchObject({ usable: true })
  expect(failed).toEqual([])
  expect(passed.length).toBeGreaterThan(70)
})
