export { copy } from './definition.ts'
