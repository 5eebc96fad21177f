import type { ContentStore } from '../content/content-store.ts'
import type { DiagnosticsSink } from '../driver-kit/diagnostics.ts'
import type { ImageLock } from '../image/image-lock.ts'
import type { ImageStore } from '../image/image-store.ts'
import type { EventJournal } from '../state/event-journal.ts'
import type { LayerUnpacker } from './layer-unpacker.ts'

/** What moves images in and out. */
export interface TransferServices {
  readonly content: ContentStore
  readonly images: ImageStore
  readonly unpacker: LayerUnpacker
  readonly journal: EventJournal
  readonly diagnostics: DiagnosticsSink
  /** Pins names to digests. */
  readonly imageLock?: ImageLock | undefined
}
