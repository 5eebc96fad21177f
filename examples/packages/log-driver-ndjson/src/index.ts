export { ndjson } from './definition.ts'
