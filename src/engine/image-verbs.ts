import { parseOptionObject } from '../driver-kit/options.ts'
import { type BuiltFacts, flag, parseImageFilter } from '../image/image-filter.ts'
import type { ImageRemoval, PruneScope, RemoveRules } from '../image/image-remover.ts'
import type { ImageStore } from '../image/image-store.ts'
import { type CallOptions, throwIfAborted } from '../lifetime/call-options.ts'
import type { Digest } from '../oci/digest.ts'
import { familiarName, parseReference } from '../reference/reference.ts'
import { coreTokens } from './core-tokens.ts'
import { freeRemoved } from './free-removed.ts'
import type { ImageHistoryEntry } from './image-history.ts'
import { type ImageInspect, type InspectServices, inspectImage, readHistory } from './image-inspect.ts'
import { parseUntil } from './parse-until.ts'
import type { Parts } from './parts.ts'
import type { ImagePruneFilter, ImagesPruneReport, RemoveImageReport } from './removal-reports.ts'

/** How many configurations are read side by side. */
const readAhead = 16

/** What handles and the collection of images do beyond moving them. Comes with the engine, not with the handles. */
export class ImageVerbs {
  readonly #parts: Parts
  /** Configurations never change: what filters ask for is read once. */
  readonly #built = new Map<Digest, BuiltFacts>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async inspect(id: string, call?: CallOptions): Promise<ImageInspect> {
    return inspectImage(await this.#inspecting(), id, call)
  }

  async history(id: string, call?: CallOptions): Promise<readonly ImageHistoryEntry[]> {
    return readHistory(await this.#inspecting(), id, call)
  }

  /** Ids, newest first. */
  async *list(subject: string, filter: unknown, call?: CallOptions): AsyncIterable<Digest> {
    const builtAt = async (image: string) => (await this.#builtFacts(this.#images.resolve(image).id, call)).builtAt
    const { fits, built } = await parseImageFilter(subject, filter, builtAt)
    const candidates = this.#images.listed().filter(fits)
    if (!built) {
      for (const { id } of candidates) yield id
      return
    }
    for (let at = 0; at < candidates.length; at += readAhead) {
      throwIfAborted(call, subject)
      const batch = candidates.slice(at, at + readAhead)
      const facts = await Promise.all(batch.map(({ id }) => this.#factsIfHere(id, call)))
      for (const [index, { id }] of batch.entries()) {
        const found = facts[index]
        if (found && built(found)) yield id
      }
    }
  }

  async remove(text: string, options: unknown, subject: string): Promise<RemoveImageReport> {
    const rules: RemoveRules = parseOptionObject(subject, options, { force: flag, noPrune: flag })
    return this.#finish(this.#images.remove(text, rules))
  }

  /** False when there is no such name. */
  untag(name: string): boolean {
    return this.#images.untag(name)
  }

  async prune(filter: ImagePruneFilter | undefined, call?: CallOptions): Promise<ImagesPruneReport> {
    const {
      all = false,
      labels,
      until,
    } = parseOptionObject('images.prune', filter, {
      all: flag,
      labels: (value) => value,
      until: parseUntil,
    })
    const scope: PruneScope = all ? 'unused' : 'dangling'
    const ids: Digest[] = []
    // A dangling image may hold another one by having been made from it: the scope is looked at when it is its turn.
    for await (const id of this.list('images.prune', { labels, until }, call)) ids.push(id)
    throwIfAborted(call, 'Pruning images')
    const report = await this.#finish(this.#images.prune(ids, scope))
    this.#parts.get(coreTokens.journal).append({
      type: 'image',
      action: 'prune',
      subject: '',
      attributes: { reclaimed: String(report.spaceReclaimed) },
    })
    return report
  }

  async #finish({ untagged, deleted, items }: ImageRemoval): Promise<RemoveImageReport> {
    const spaceReclaimed = await freeRemoved(this.#parts, items)
    return { untagged: untagged.map((name) => familiarName(parseReference(name))), deleted, spaceReclaimed }
  }

  get #images(): ImageStore {
    return this.#parts.get(coreTokens.images)
  }

  async #inspecting(): Promise<InspectServices> {
    const [transfer, { records }] = await Promise.all([
      this.#parts.get(coreTokens.transfer),
      this.#parts.get(coreTokens.containerServices),
    ])
    return { images: this.#images, transfer, countUsers: (id) => records.usersOf(id).length }
  }

  /** Null when it was removed meanwhile. */
  async #factsIfHere(id: Digest, call?: CallOptions): Promise<BuiltFacts | null> {
    try {
      return await this.#builtFacts(id, call)
    } catch (error) {
      if (this.#images.find(id)) throw error
      return null
    }
  }

  async #builtFacts(id: Digest, call?: CallOptions): Promise<BuiltFacts> {
    const known = this.#built.get(id)
    if (known) return known
    const { created, config } = await this.#images.readConfig(id, call)
    const builtAt = Date.parse(created ?? '')
    const facts = { builtAt: Number.isNaN(builtAt) ? 0 : builtAt, labels: config?.Labels ?? {} }
    this.#built.set(id, facts)
    return facts
  }
}
