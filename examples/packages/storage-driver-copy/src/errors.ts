import { defineErrors } from 'tscontainer/driver-kit'

/** Failures of this driver; the codes read `copy.reason`. */
export const copyErrors = defineErrors('copy', {
  unknown_tree: { kind: 'not_found', help: 'No draft and no snapshot has this id.' },
  id_in_use: { kind: 'already_exists', help: 'A draft or a snapshot has this id already.' },
  has_children: { kind: 'conflict', help: 'Other trees stand on this snapshot. Remove them first.' },
  not_a_draft: { kind: 'conflict', help: 'Only a writable draft can be committed.' },
  tool_failed: { kind: 'unavailable', help: 'cp or sync failed; the cause has its output.' },
  full: { kind: 'resource_exhausted', help: 'The disk is full. Free space and try again.' },
})
