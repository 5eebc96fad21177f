import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Debian's docker-registry (with htpasswd from apache2-utils) on a free port of loopback. */
export interface PrivateRegistry extends AsyncDisposable {
  /** `127.0.0.1:<port>`, as names of images begin. */
  readonly host: string
}

/** Starts a registry; with users, it lets nobody else in. */
export async function startPrivateRegistry(
  users: Readonly<Record<string, string>> | null = null,
): Promise<PrivateRegistry> {
  const directory = await mkdtemp(join(tmpdir(), 'example-registry-'))
  const host = `127.0.0.1:${await freePort()}`
  const passwords = Object.entries(users ?? {}).map(([name, password]) =>
    execFileSync('htpasswd', ['-nbB', name, password], { encoding: 'utf8' }).trim(),
  )
  await writeFile(join(directory, 'htpasswd'), `${passwords.join('\n')}\n`)
  const config = [
    'version: 0.1',
    'log: { level: error }',
    `storage: { filesystem: { rootdirectory: ${directory}/data } }`,
    `http: { addr: "${host}" }`,
    ...(users ? [`auth: { htpasswd: { realm: example, path: ${directory}/htpasswd } }`] : []),
  ]
  await writeFile(join(directory, 'config.yml'), `${config.join('\n')}\n`)
  const server = spawn('docker-registry', ['serve', join(directory, 'config.yml')], { stdio: 'ignore' })
  while (!(await answers(host))) {
    if (server.exitCode !== null) throw new Error('docker-registry did not start')
    await sleep(25)
  }
  return {
    host,
    async [Symbol.asyncDispose]() {
      const gone = once(server, 'exit')
      server.kill('SIGKILL')
      await gone
      await rm(directory, { recursive: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

const answers = (host: string): Promise<boolean> =>
  fetch(`http://${host}/v2/`).then(
    (answer) => answer.status === 200 || answer.status === 401,
    () => false,
  )
