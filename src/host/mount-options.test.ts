import { describe, expect, test } from 'vitest'
import { planMount } from './mount-options.ts'
import { shortenOverlayData } from './overlay-data.ts'
import { MS } from './syscall/mount.ts'

describe('planMount', () => {
  test('flags and data are told apart, the last word wins', () => {
    const plan = planMount({
      type: 'tmpfs',
      source: 't',
      options: ['ro', 'nosuid', 'size=1m', 'rw', 'mode=700', 'defaults'],
    })
    expect(plan).toEqual({
      type: 'tmpfs',
      source: 't',
      flags: MS.NOSUID,
      data: 'size=1m,mode=700',
      remount: null,
      propagation: null,
    })
  })

  test('binds get their flags by a second call', () => {
    expect(planMount({ type: 'bind', source: '/a', options: ['rbind', 'ro', 'rprivate'] })).toEqual({
      type: 'bind',
      source: '/a',
      flags: MS.BIND | MS.REC,
      data: '',
      remount: MS.BIND | MS.REMOUNT | MS.RDONLY,
      propagation: MS.PRIVATE | MS.REC,
    })
    expect(planMount({ type: 'none', source: '/a', options: ['bind'] }).remount).toBe(null)
    expect(() => planMount({ type: 'bind', source: '/a', options: ['size=1'] })).toThrow('size=1')
  })

  test('names of the language are no options', () => {
    expect(planMount({ type: 'x', source: 's', options: ['constructor', 'toString'] }).data).toBe(
      'constructor,toString',
    )
  })
})

describe('shortenOverlayData', () => {
  test('numbers directories, without their escapes, and leaves the rest', () => {
    const seen: string[] = []
    const number = (path: string) => seen.push(path) + 9
    const data = 'lowerdir=/a\\:b:/c\\,d::/e,upperdir=/u\\\\v,workdir=/w,lowerdir+=/p,index=off,userxattr'
    expect(shortenOverlayData(data, number)).toBe(
      'lowerdir=10:11::12,upperdir=13,workdir=14,lowerdir+=15,index=off,userxattr',
    )
    expect(seen).toEqual(['/a:b', '/c,d', '/e', '/u\\v', '/w', '/p'])
  })
})
