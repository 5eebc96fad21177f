import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'

/** Docker or Podman by its command line. */
export class Peer {
  readonly name: 'docker' | 'podman'

  constructor(name: 'docker' | 'podman') {
    this.name = name
  }

  load(tarball: string): void {
    execFileSync(this.name, ['load', '-q', '-i', tarball], { stdio: 'ignore' })
  }

  removeImage(image = peerImage): void {
    spawnSync(this.name, ['rmi', '-f', image], { stdio: 'ignore' })
  }

  spawn(args: readonly string[], stdio: 'ignore' | 'pipe' = 'ignore'): ChildProcess {
    return spawn(this.name, [...args], { stdio: ['ignore', stdio, 'ignore'] })
  }

  /** Runs a command of the peer to its end. */
  async run(...args: readonly string[]): Promise<void> {
    const child = this.spawn(args)
    const code = await new Promise((resolve) => child.once('exit', resolve))
    if (code !== 0) throw new Error(`${this.name} ${args.join(' ')} ended with ${code}`)
  }
}

/** The image's name in the peers, when it came from the bench's tarball. */
export const peerImage = 'tscontainer-bench:busybox'

/** Those that are installed and answer. */
export function installedPeers(): readonly Peer[] {
  const answers = (name: string, args: readonly string[]) =>
    spawnSync(name, [...args], { stdio: 'ignore' }).status === 0
  const peers: Peer[] = []
  if (answers('docker', ['info'])) peers.push(new Peer('docker'))
  if (answers('podman', ['info'])) peers.push(new Peer('podman'))
  return peers
}
