// Without `Map` and `WeakMap` stand-ins for engines that lack them.
import 'reflect-metadata/lite'
import { container as globalContainer, instanceCachingFactory } from 'tsyringe'
import type { PartFactory, Parts, Token } from './parts.ts'

/**
 * A fresh dependency-injection container per engine: later definitions of a token replace earlier ones, a part is made
 * on first use and once. Disposal is not the container's: parts register theirs in the engine's scope.
 */
export function wire(definitions: readonly PartFactory<unknown>[]): Parts {
  const injection = globalContainer.createChildContainer()
  const parts: Parts = {
    get<T>(token: Token<T>): T {
      return injection.resolve<T>(token.symbol)
    },
  }
  const chosen = new Map(definitions.map((definition) => [definition.token.symbol, definition]))
  for (const { token, create } of chosen.values())
    injection.register(token.symbol, { useFactory: instanceCachingFactory(() => create(parts)) })
  return parts
}
