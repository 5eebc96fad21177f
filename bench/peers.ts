import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Docker or Podman by its command line. */
export class Peer {
  readonly name: 'docker' | 'podman'
  /** The program, and what stands before every verb. */
  readonly #command: readonly [string, ...string[]]
  readonly #env: NodeJS.ProcessEnv
  /** The same for containers on its bridge: where it would leave the bridge and its rules behind, in a network of its own. */
  readonly onBridge: Peer

  constructor(
    name: 'docker' | 'podman',
    command: readonly [string, ...string[]],
    env: NodeJS.ProcessEnv = {},
    onBridge: Peer | null = null,
  ) {
    this.name = name
    this.#command = command
    this.#env = { ...process.env, ...env }
    this.onBridge = onBridge ?? this
  }

  load(tarball: string): void {
    this.output('load', '-q', '-i', tarball)
  }

  removeImage(image = peerImage): void {
    const [file, ...before] = this.#command
    spawnSync(file, [...before, 'rmi', '-f', image], { stdio: 'ignore', env: this.#env })
  }

  /** Ends containers at once and removes them. */
  remove(...containers: readonly string[]): void {
    this.output('rm', '-f', ...(this.name === 'podman' ? ['-t', '0'] : []), ...containers)
  }

  spawn(args: readonly string[], stdio: 'ignore' | 'pipe' = 'ignore'): ChildProcess {
    const [file, ...before] = this.#command
    return spawn(file, [...before, ...args], { stdio: ['ignore', stdio, 'ignore'], env: this.#env })
  }

  /** Runs a command of the peer to its end. */
  async run(...args: readonly string[]): Promise<void> {
    const child = this.spawn(args)
    const code = await new Promise((resolve) => child.once('exit', resolve))
    if (code !== 0) throw new Error(`${this.name} ${args.join(' ')} ended with ${code}`)
  }

  /** What a command prints; standing still meanwhile. Throws with what it complains of. */
  output(...args: readonly string[]): string {
    const [file, ...before] = this.#command
    return execFileSync(file, [...before, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.#env,
    }).trim()
  }
}

/** The image's name in the peers, when it came from the bench's tarball. */
export const peerImage = 'tscontainer-bench:busybox'

/**
 * Those that are installed and can run the image of the tarball, which is left in them. Who is installed and cannot is
 * told, and left out.
 */
export async function installedPeers(
  directory: string,
  tarball: string,
  resources: AsyncDisposableStack,
): Promise<readonly Peer[]> {
  const peers: Peer[] = []
  if (answers('docker')) peers.push(new Peer('docker', ['docker']))
  if (answers('podman')) peers.push(await podman(directory, resources))
  return peers.filter((peer) => {
    try {
      peer.load(tarball)
      resources.defer(() => peer.removeImage())
      peer.output('run', '--rm', '--network', 'none', peerImage, '/bin/true')
      return true
    } catch (error) {
      console.error(`${peer.name} is installed but runs nothing here, so it is left out: ${(error as Error).message}`)
      return false
    }
  })
}

const answers = (name: string): boolean => spawnSync(name, ['info'], { stdio: 'ignore' }).status === 0

/**
 * Podman with its data on the bench's disk. Its limits are those that every host grants; where cgroup v2 is mounted beside
 * v1 it does not see that mount, with which old versions of crun refuse to work.
 */
async function podman(directory: string, resources: AsyncDisposableStack): Promise<Peer> {
  const configuration = join(directory, 'podman.conf')
  writeFileSync(configuration, '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n')
  const hybrid = '/sys/fs/cgroup/unified'
  const addresses = '/var/lib/cni'
  const script = [
    ...(existsSync(hybrid) ? [`umount -l ${hybrid}`] : []),
    `mkdir -p ${addresses}`,
    `mount -t tmpfs none ${addresses}`,
    'echo ready',
    'exec sleep infinity',
  ].join(' && ')
  const holder = spawn('unshare', ['--mount', '--net', '--propagation', 'slave', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  resources.defer(() => {
    holder.kill('SIGKILL')
  })
  await once(holder.stdout, 'data')
  const namespaces = `/proc/${holder.pid}/ns`
  const program = ['podman', '--root', join(directory, 'podman'), '--runroot', join(directory, 'podman-run')]
  const env = { CONTAINERS_CONF: configuration }
  const enter = ['nsenter', `--mount=${namespaces}/mnt`] as const
  const onBridge = new Peer('podman', [...enter, `--net=${namespaces}/net`, ...program], env)
  return new Peer('podman', [...enter, ...program], env, onBridge)
}
