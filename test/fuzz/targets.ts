/** Every target, in the order of the table. A new reader of foreign bytes gets a file below `targets`, and a word here. */

import type { Target } from './target.ts'
import { ARCHIVE_MARK, METADATA, PAX_RECORDS, TAR_PROOF, TAR_READER } from './targets/archives.ts'
import { ANSWER, QUESTIONS, RECEIPT_BLOCK, REQUEST, STREAM_BLOCKS } from './targets/blocks.ts'
import { BROKEN_TARGETS } from './targets/broken.ts'
import { COMPRESS_WORDS } from './targets/compress-words.ts'
import { CONFIGURATION } from './targets/configuration.ts'
import { BASE64, UUENCODE } from './targets/encodings.ts'
import { EXTRACTION } from './targets/extraction.ts'
import { FRAMES } from './targets/frames.ts'
import { HISTORY_LINE, JOURNAL } from './targets/history.ts'
import { OPTION_FILE } from './targets/option-file.ts'
import { RECEIPT_FILE, SESSION_FILE } from './targets/text-files.ts'
import { TAR_AND_OTHERS } from './targets/tar-programs.ts'
import { ENGINE_WORDS } from './targets/words.ts'
import { XBSTREAM, XBSTREAM_PROOF } from './targets/xbstream.ts'

export const TARGETS: readonly Target[] = [
  ...[REQUEST, RECEIPT_BLOCK, COMPRESS_WORDS],
  ...[ANSWER, QUESTIONS, FRAMES, STREAM_BLOCKS, UUENCODE, BASE64],
  ...[XBSTREAM, XBSTREAM_PROOF, TAR_READER, TAR_PROOF, PAX_RECORDS, ARCHIVE_MARK, METADATA, EXTRACTION, TAR_AND_OTHERS],
  ...[HISTORY_LINE, JOURNAL, SESSION_FILE, RECEIPT_FILE, ENGINE_WORDS, OPTION_FILE, CONFIGURATION],
]

export const findTarget = (name: string): Target => {
  const target = [...TARGETS, ...BROKEN_TARGETS].find((one) => one.name === name)
  if (target === undefined) throw new Error(`no target is called ${name}; --list names them`)
  return target
}
