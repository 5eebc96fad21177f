import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { sign, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Debian's docker-registry on a free port of loopback, with its data in a directory of its own. */
export interface RegistryServer extends AsyncDisposable {
  /** `127.0.0.1:<port>` */
  readonly host: string
  readonly directory: string
  /** PEM of the authority, when it speaks TLS. */
  readonly ca: string | null
  /** What it has logged. */
  log(): string
}

export interface RegistryServerOptions {
  readonly tls?: boolean
  /** Basic authentication. */
  readonly users?: Readonly<Record<string, string>>
  /** Bearer tokens of this service. */
  readonly tokens?: { readonly realm: string; readonly certificate: string }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

/** A certificate of its own authority for 127.0.0.1, as files. */
export function makeCertificate(directory: string): {
  readonly cert: string
  readonly key: string
  readonly ca: string
} {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' })
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    '2',
    '-subj',
    '/CN=test authority',
  )
  openssl(
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'server.key',
    '-out',
    'server.csr',
    '-subj',
    '/CN=127.0.0.1',
  )
  writeFileSync(join(directory, 'san'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  openssl(
    'x509',
    '-req',
    '-in',
    'server.csr',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-out',
    'server.pem',
    '-days',
    '2',
    '-extfile',
    'san',
  )
  return {
    cert: join(directory, 'server.pem'),
    key: join(directory, 'server.key'),
    ca: readFileSync(join(directory, 'ca.pem'), 'utf8'),
  }
}

export async function startRegistry(options: RegistryServerOptions = {}): Promise<RegistryServer> {
  const directory = mkdtempSync(join(tmpdir(), 'registry-'))
  const port = await freePort()
  const host = `127.0.0.1:${port}`
  const certificate = options.tls ? makeCertificate(directory) : null
  const auth = authSection(directory, options)
  const config = [
    'version: 0.1',
    'log: { level: info }',
    `storage: { filesystem: { rootdirectory: ${directory}/data }, delete: { enabled: true } }`,
    'http:',
    `  addr: ${host}`,
    ...(certificate ? [`  tls: { certificate: ${certificate.cert}, key: ${certificate.key} }`] : []),
    ...auth,
  ]
  writeFileSync(join(directory, 'config.yml'), `${config.join('\n')}\n`)
  const child = spawn('docker-registry', ['serve', join(directory, 'config.yml')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
  await listening(child, port, () => log)
  return {
    host,
    directory,
    ca: certificate?.ca ?? null,
    log: () => log,
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function listening(child: ChildProcess, port: number, log: () => string): Promise<void> {
  child.once('error', () => {})
  for (let tries = 0; tries < 200; tries++) {
    if (child.pid === undefined || child.exitCode !== null)
      throw new Error(`docker-registry did not start (apt-get install docker-registry): ${log()}`)
    if (log().includes(`listening on 127.0.0.1:${port}`)) return
    await sleep(25)
  }
  throw new Error(`docker-registry does not listen: ${log()}`)
}

function authSection(directory: string, { users, tokens }: RegistryServerOptions): string[] {
  if (users) {
    const lines = Object.entries(users).map(([name, password]) =>
      execFileSync('htpasswd', ['-nbB', name, password], { encoding: 'utf8' }).trim(),
    )
    writeFileSync(join(directory, 'htpasswd'), `${lines.join('\n')}\n`)
    return [`auth: { htpasswd: { realm: test, path: ${directory}/htpasswd } }`]
  }
  if (!tokens) return []
  writeFileSync(join(directory, 'issuer.pem'), tokens.certificate)
  return [
    'auth:',
    '  token:',
    `    realm: ${tokens.realm}`,
    '    service: test-registry',
    '    issuer: test-issuer',
    `    rootcertbundle: ${directory}/issuer.pem`,
  ]
}

/** Signs tokens as docker-registry checks them. Source: distribution, "Docker Registry v2 authentication via central service". */
export class TokenSigner {
  readonly certificate: string
  readonly #key: string

  constructor() {
    const directory = mkdtempSync(join(tmpdir(), 'issuer-'))
    try {
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          '-newkey',
          'rsa:2048',
          '-nodes',
          '-keyout',
          'key',
          '-out',
          'cert',
          '-days',
          '2',
          '-subj',
          '/CN=issuer',
        ],
        { cwd: directory, stdio: 'pipe' },
      )
      this.certificate = readFileSync(join(directory, 'cert'), 'utf8')
      this.#key = readFileSync(join(directory, 'key'), 'utf8')
    } finally {
      rmSync(directory, { recursive: true })
    }
  }

  sign(scopes: readonly string[], seconds: number): string {
    const access = scopes.map((scope) => {
      const [type, name, actions] = scope.split(':')
      return { type, name, actions: actions?.split(',') }
    })
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      iss: 'test-issuer',
      sub: '',
      aud: 'test-registry',
      exp: now + seconds,
      nbf: now - 10,
      iat: now,
      jti: String(Math.random()),
      access,
    }
    const header = { typ: 'JWT', alg: 'RS256', x5c: [new X509Certificate(this.certificate).raw.toString('base64')] }
    const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    return `${text}.${sign('sha256', Buffer.from(text), this.#key).toString('base64url')}`
  }
}
