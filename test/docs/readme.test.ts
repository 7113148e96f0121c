import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'

import { README, readmeWithParts } from './generated-parts.ts'

test('README says what the code does: help texts, settings and exit codes (else: npm run docs)', () => {
  expect(readFileSync(README, 'utf8')).toBe(readmeWithParts())
})
