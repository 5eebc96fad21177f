import { describe, expect, test } from 'vitest'
import { runSuiteInUserNamespace } from './user-namespace.ts'

// The engine as a whole asks for root; its storage drivers do not.
describe('storage drivers of an unprivileged user, in a user namespace', () => {
  test('overlay2 finds out that its marks must be in user.overlay.*, and passes', async () => {
    const { probe, passed, failed } = await runSuiteInUserNamespace('overlay2')
    expect(probe).toMatchObject({ usable: true, facts: { userxattr: 'true' } })
    expect(failed).toEqual([])
    expect(passed).toEqual(
      expect.arrayContaining([
        'a directory made anew hides what it had (opaque)',
        'carries everything that files have, and every kind of change',
        'does what a model in memory does',
      ]),
    )
  })

  test('vfs passes', async () => {
    const { probe, passed, failed } = await runSuiteInUserNamespace('vfs')
    expect(probe).toMatchObject({ usable: true })
    expect(failed).toEqual([])
    expect(passed.length).toBeGreaterThan(70)
  })
})
