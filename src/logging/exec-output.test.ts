import { spawn } from 'node:child_process'
import { closeSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createPipe } from '../host/pipe.ts'
import { collectOutput, readDescriptor } from './exec-output.ts'

function run(script: string) {
  const [out, err] = [createPipe(), createPipe()]
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', out.write, err.write] })
  closeSync(out.write)
  closeSync(err.write)
  return { stdout: out.read, stderr: err.read, child }
}

const open = (): number => readdirSync('/proc/self/fd').length

test('both streams to their end, large ones too', async () => {
  const { stdout, stderr } = await collectOutput(run('head -c 3000000 /dev/zero; echo no >&2'))
  expect(stdout.length).toBe(3_000_000)
  expect(stderr.toString()).toBe('no\n')
})

test('too much output and abort reject and leave no descriptor', async () => {
  await collectOutput(run('true'))
  const before = open()
  const big = run('head -c 100000 /dev/zero; sleep 60')
  await expect(collectOutput(big, { maxBytes: 1000 })).rejects.toMatchObject({ code: 'logging.output_too_large' })
  big.child.kill()
  const slow = run('sleep 60')
  await expect(collectOutput(slow, { signal: AbortSignal.timeout(30) })).rejects.toMatchObject({ name: 'AbortError' })
  slow.child.kill()
  for (let wait = 0; open() > before && wait < 100; wait++) await sleep(10)
  expect(open()).toBe(before)
})

test('a reader that is slow makes the program wait; leaving the loop closes the pipe', async () => {
  const { stdout, stderr, child } = run('yes | head -c 50000000')
  closeSync(stderr)
  const ended = new Promise((resolve) => child.once('exit', resolve))
  let total = 0
  for await (const bytes of readDescriptor(stdout)) {
    total += bytes.length
    await sleep(1)
    if (total > 3_000_000) break
  }
  await ended
  expect(total).toBeLessThan(4_000_000)
})
