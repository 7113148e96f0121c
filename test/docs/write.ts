/** `npm run docs`: writes the generated parts into README.md. */

import { writeFileSync } from 'node:fs'

import { README, readmeWithParts } from './generated-parts.ts'

writeFileSync(README, readmeWithParts())
