import { type CallOptions, type DriverHost, isEngineError, storageErrors } from 'tscontainer/driver-kit'

/**
 * Copies a tree with everything that a file system keeps: modes, numeric owners, times, hard links, holes, FIFOs,
 * devices and extended attributes. The last are asked for by name, because `cp -a` alone passes over the ones it cannot
 * keep. Blocks are shared where the file system can (btrfs, xfs).
 */
export async function copyTree(host: DriverHost, from: string, to: string, call?: CallOptions): Promise<void> {
  try {
    await host.run(
      'cp',
      [
        '--recursive',
        '--no-dereference',
        '--preserve=mode,ownership,timestamps,links,xattr',
        '--reflink=auto',
        '--sparse=auto',
        '--no-target-directory',
        '--',
        from,
        to,
      ],
      { ...call, timeoutMs: 3_600_000 },
    )
  } catch (error) {
    if (isEngineError(error, { code: 'host.program_failed' }) && /No space left|quota exceeded/i.test(error.message))
      throw storageErrors.error('disk_full', {
        message: `The disk is full: ${from} could not be copied. Free space, or use storage driver overlay2, which does not copy.`,
        subject: { type: 'path', id: to },
        cause: error,
      })
    throw error
  }
}
