import type { CallOptions, DriverContext, MissingRequirement, Probe } from 'tscontainer/driver-kit'
import { errnoOf, isNearlyFull } from 'tscontainer/driver-kit'
import type { Overlay2Options } from './options.ts'
import { knownSupport } from './support.ts'
import { backingFilesystem, isRefusedBacking, type Trial, tryOverlay } from './trial.ts'

/** Looks at the backing file system and tries a mount in the launcher's namespace; leaves nothing. */
export async function probe(context: DriverContext, options: Overlay2Options, call?: CallOptions): Promise<Probe> {
  const backing = backingFilesystem(context.directory)
  if (isRefusedBacking(backing))
    return {
      usable: false,
      missing: [
        {
          what: `a backing file system that can be an upper layer: ${context.directory} is on ${backing}`,
          hint:
            backing === 'overlay'
              ? 'overlay does not stack on overlay: mount a volume of the host at the data root, or use driver vfs'
              : 'put the data root on ext4, xfs or btrfs, or use driver vfs',
        },
      ],
    }
  const known = knownSupport(context, options)
  const trial: Trial = known ? { works: true, support: known } : await tryOverlay(context, options, call)
  if (!trial.works) return { usable: false, missing: [explain(trial.error, trial.reason, backing)] }
  const { support } = trial
  return {
    usable: true,
    facts: {
      'Backing Filesystem': backing,
      'Supports d_type': 'true',
      'Using metacopy': 'false',
      'Native Overlay Diff': 'true',
      userxattr: String(support.xattrPrefix === 'user.overlay.'),
      'Project Quota': describeQuota(context),
      'Shifted Owners': support.idMap === true ? 'true' : `false (${support.idMap.lacking})`,
    },
    ...(isNearlyFull(context.directory) ? { warnings: [`The disk of ${context.directory} is nearly full.`] } : {}),
  }
}

function explain(error: unknown, reason: string, backing: string): MissingRequirement {
  switch (errnoOf(error)) {
    case 'ENODEV':
      return {
        what: 'kernel file system overlay',
        hint: 'load it with `modprobe overlay`, or use a kernel that has it',
      }
    case 'EPERM':
    case 'EACCES':
      return {
        what: `the right to mount overlay (${reason})`,
        hint: 'run as root with CAP_SYS_ADMIN; inside a container start that one privileged, or use driver vfs',
      }
    case null:
      return {
        what: `a working overlay on ${backing}: ${reason}`,
        hint: 'put the data root on ext4, xfs with ftype=1, or btrfs',
      }
    default:
      return {
        what: `a working overlay on ${backing}: ${reason}`,
        hint: 'the kernel log (dmesg) says why; put the data root on ext4, xfs or btrfs, or use driver vfs',
      }
  }
}

/** For people: whether sizes of containers can be limited, and what it takes. */
function describeQuota(context: DriverContext): string {
  const state = context.host.projectQuotas.state(context.directory)
  return state.enforced ? 'true' : `false (${state.missing} is missing: ${state.hint})`
}
