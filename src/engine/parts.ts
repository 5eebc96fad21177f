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
