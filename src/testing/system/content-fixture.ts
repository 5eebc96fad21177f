import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ContentStore } from '../../content/content-store.ts'
import { ImageStore } from '../../image/image-store.ts'
import type { ImageUser } from '../../image/removal-rules.ts'
import { EventJournal } from '../../state/event-journal.ts'
import { openState, type State } from '../../state/open-state.ts'
import { type Owner, Owners } from '../../state/owners.ts'

/** A data root with a content store and images, as one engine process sees it. */
export interface ContentFixture extends AsyncDisposable {
  readonly root: string
  /** A directory for the test's own files. */
  readonly scratch: string
  readonly state: State
  readonly owner: Owner
  readonly content: ContentStore
  readonly images: ImageStore
  readonly journal: EventJournal
  /** What `usersOf` answers. */
  users: readonly ImageUser[]
  /** Another engine process on the same root. */
  reopen(): ContentFixture
  /** Files in blobs/ and ingest/. */
  files(): { blobs: string[]; ingest: string[] }
}

export function contentFixture(at?: { root: string; scratch: string }): ContentFixture {
  const directory = at ? null : mkdtempSync(join(tmpdir(), 'tsc-content-'))
  const root = at?.root ?? join(directory!, 'root')
  const scratch = at?.scratch ?? mkdtempSync(join(directory!, 'scratch-'))
  const state = openState(root)
  const owner = new Owners(state.db, state.paths).register('engine')
  const content = new ContentStore({ paths: state.paths, db: state.db, owner: owner.id })
  const journal = new EventJournal(state.db, state.paths)
  const fixture: ContentFixture = {
    root,
    scratch,
    state,
    owner,
    content,
    journal,
    users: [],
    images: new ImageStore({ db: state.db, content, journal, owner: owner.id, usersOf: () => fixture.users }),
    reopen: () => contentFixture({ root, scratch }),
    files: () => ({
      blobs: readdirSync(join(root, 'content/blobs/sha256')).sort(),
      ingest: readdirSync(join(root, 'content/ingest')).sort(),
    }),
    async [Symbol.asyncDispose]() {
      owner[Symbol.dispose]()
      state[Symbol.dispose]()
      if (directory) rmSync(directory, { recursive: true, force: true })
    },
  }
  return fixture
}
