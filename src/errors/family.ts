import { EngineError, type EngineErrorInit } from './engine-error.ts'
import type { ErrorKind } from './kinds.ts'

/** One row of the error reference: what the code means and what to do about it. */
export interface ErrorDefinition {
  readonly kind: ErrorKind
  readonly help: string
}

/** What the maker of an error of a family says; kind and code come from the table. */
export type ErrorOptions = Omit<EngineErrorInit, 'kind' | 'code'>

/** A family of codes: the table that the reference is made from, and the only way to make its errors. */
export interface ErrorFamily<Name extends string, Codes extends Record<string, ErrorDefinition>> {
  readonly name: Name
  readonly codes: Codes
  /** Makes an error of the family. */
  error(reason: keyof Codes & string, options: ErrorOptions): EngineError
}

/** Declares a family; its codes read `name.reason`. */
export function defineErrors<const Name extends string, const Codes extends Record<string, ErrorDefinition>>(
  name: Name,
  codes: Codes,
): ErrorFamily<Name, Codes> {
  return {
    name,
    codes,
    error(reason, options) {
      const definition = codes[reason]
      if (!definition) throw new TypeError(`no error ${name}.${reason}`)
      return new EngineError({ ...options, kind: definition.kind, code: `${name}.${reason}` })
    },
  }
}
