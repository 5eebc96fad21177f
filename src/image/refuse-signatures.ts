import { imageErrors } from '../errors/image-errors.ts'

/** For the option of whoever wants signatures verified: it must not be ignored. @throws `image.no_signatures` */
export function refuseSignatures(_value: unknown, key: string): undefined {
  throw imageErrors.error('no_signatures', {
    message: `The option "${key}" asks for signatures to be verified, which this version cannot do: nothing was pulled. Pin digests with imageLock instead.`,
    subject: { type: 'option', id: key },
    details: { key },
  })
}
