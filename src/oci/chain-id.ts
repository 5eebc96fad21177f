import { type Digest, digestOf } from './digest.ts'

/**
 * Names a stack of layers by their diff ids: the first id alone, then sha256 of `chain + " " + diff`.
 * Source: OCI image-spec, config.md, "Layer ChainID".
 */
export function chainIds(diffIds: readonly Digest[]): readonly Digest[] {
  const chain: Digest[] = []
  for (const diffId of diffIds) {
    const below = chain.at(-1)
    chain.push(below ? digestOf(`${below} ${diffId}`) : diffId)
  }
  return chain
}
