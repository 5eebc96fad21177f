import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import { posix } from 'node:path'

/**
 * Why the kernel refuses to execute a program that exists: `exec format error` or a missing interpreter; null when it
 * looks well. Runtimes report these only on the program's own standard error, because they are past the point where
 * they can tell. `root` is where the container's root can be read now.
 */
export function refusedByKernel(
  root: string,
  command: readonly string[],
  env: readonly string[],
  cwd: string,
): string | null {
  if (hasForeignFormats()) return null
  const file = findProgram(root, command[0] ?? '', env, cwd)
  if (file === null) return null
  const head = readHead(file)
  if (head === null) return null
  if (head.subarray(0, 2).toString('latin1') === '#!') {
    const interpreter = /^#![ \t]*([^ \t\n]+)/.exec(head.toString('latin1'))?.[1]
    if (interpreter === undefined) return 'exec format error'
    return resolveIn(root, posix.resolve(cwd, interpreter)) === null
      ? `its interpreter ${interpreter} does not exist`
      : null
  }
  if (head.subarray(0, 4).toString('latin1') !== '\x7fELF') return 'exec format error'
  const interpreter = elfInterpreter(file, head)
  if (interpreter !== null && resolveIn(root, interpreter) === null)
    return `its interpreter ${interpreter} does not exist`
  return head.readUInt16LE(18) === elfMachine[process.arch] || elfMachine[process.arch] === undefined
    ? null
    : 'exec format error: it is made for another processor'
}

// e_machine of elf(5).
const elfMachine: Readonly<Record<string, number>> = { x64: 62, arm64: 183, riscv64: 243, loong64: 258 }

/** Whether the kernel hands formats that it does not know to programs of the host (binfmt_misc), so that we cannot tell. */
function hasForeignFormats(): boolean {
  try {
    return readdirSync('/proc/sys/fs/binfmt_misc').some((name) => name !== 'register' && name !== 'status')
  } catch {
    return false
  }
}

function findProgram(root: string, program: string, env: readonly string[], cwd: string): string | null {
  if (program.includes('/')) return resolveIn(root, posix.resolve(cwd, program))
  const path = env.findLast((entry) => entry.startsWith('PATH='))?.slice(5) ?? ''
  for (const directory of path.split(':')) {
    const found = resolveIn(root, posix.resolve(cwd, directory, program))
    if (found !== null) return found
  }
  return null
}

/** Follows symlinks without ever leaving `root`. */
function resolveIn(root: string, path: string): string | null {
  const todo = path.split('/')
  let done: string[] = []
  for (let steps = 0; todo.length > 0; ) {
    const name = todo.shift()!
    if (name === '' || name === '.') continue
    if (name === '..') {
      done.pop()
      continue
    }
    const here = `${root}/${[...done, name].join('/')}`
    try {
      if (!lstatSync(here).isSymbolicLink()) done.push(name)
      else {
        if (++steps > 40) return null
        const target = readlinkSync(here)
        if (target.startsWith('/')) done = []
        todo.unshift(...target.split('/'))
      }
    } catch {
      return null
    }
  }
  return `${root}/${done.join('/')}`
}

function readHead(file: string, position = 0, length = 256): Buffer | null {
  try {
    if (!lstatSync(file).isFile()) return null
    const fd = openSync(file, 'r')
    try {
      const head = Buffer.alloc(length)
      readSync(fd, head, 0, length, position)
      return head
    } finally {
      closeSync(fd)
    }
  } catch {
    return null
  }
}

/** The dynamic loader of a 64-bit little-endian ELF file, from its PT_INTERP header. */
function elfInterpreter(file: string, head: Buffer): string | null {
  const PT_INTERP = 3
  if (head[4] !== 2 || head[5] !== 1) return null
  const entrySize = head.readUInt16LE(54)
  const count = head.readUInt16LE(56)
  if (entrySize < 56 || count > 64) return null
  const table = readHead(file, Number(head.readBigUInt64LE(32)), entrySize * count)
  for (let index = 0; table && index < count; index++) {
    const entry = table.subarray(index * entrySize)
    if (entry.readUInt32LE(0) !== PT_INTERP) continue
    const text = readHead(file, Number(entry.readBigUInt64LE(8)), Math.min(4096, Number(entry.readBigUInt64LE(32))))
    return text?.toString('latin1').replace(/\0.*$/s, '') ?? null
  }
  return null
}
