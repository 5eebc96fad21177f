import 'reflect-metadata'
import { container as globalContainer, instanceCachingFactory } from 'tsyringe'

declare const part: unique symbol

/** Names a part of the engine; `Symbol.for`, so that two copies of the package agree. */
export interface Token<T> {
  readonly symbol: symbol
  readonly [part]?: T
}

export const createToken = <T>(name: string): Token<T> => ({ symbol: Symbol.for(`tscontainer.part.${name}`) })

/** How a part is made: from other parts. Called at most once per engine. */
export interface PartFactory<T> {
  readonly token: Token<T>
  /** Makes the part; gets the others. */
  readonly create: (parts: Parts) => T
}

/** The parts of one engine. */
export interface Parts {
  /** Makes the part on first use. */
  get<T>(token: Token<T>): T
}

/** Declares a part. */
export const definePart = <T>(token: Token<T>, create: (parts: Parts) => T): PartFactory<T> => ({ token, create })

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
