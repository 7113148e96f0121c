import { expect, test } from '@jest/globals'

import { Admission } from '../../lib/jobs/index.ts'

test('admits one job at a time, and the next when the first is gone', () => {
  const admission = new Admission()
  const first = admission.admit('first')

  expect(() => admission.admit('second')).toThrow(expect.objectContaining({ code: 'JOB_BUSY' }))
  first.release()

  expect(() => admission.admit('second')).not.toThrow()
})

test('a lease released twice does not free the place of another job', () => {
  const admission = new Admission()
  const first = admission.admit('first')
  first.release()
  admission.admit('second')

  first.release()

  expect(() => admission.admit('third')).toThrow(expect.objectContaining({ code: 'JOB_BUSY' }))
})

test('while draining admits nobody and waits for the running job', async () => {
  const admission = new Admission()
  const lease = admission.admit('running')
  let drained = false
  const draining = admission.drain().then(() => {
    drained = true
  })

  expect(() => admission.admit('late')).toThrow(expect.objectContaining({ code: 'JOB_DRAINING' }))
  await Promise.resolve()
  expect(drained).toBe(false)
  lease.release()
  await draining

  expect(drained).toBe(true)
})

test('an idle agent is drained at once', async () => {
  await expect(new Admission().drain()).resolves.toBeUndefined()
})
