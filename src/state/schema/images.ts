/**
 * An image is a manifest kept here, known by its config digest (Docker's image id). Names point at manifests; an image
 * without a name is dangling.
 */
export const imagesSchema = `
CREATE TABLE images (
  manifest TEXT PRIMARY KEY,
  id TEXT NOT NULL,
  media_type TEXT NOT NULL,
  manifest_size INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX images_id ON images(id);
CREATE TABLE image_blobs (
  manifest TEXT NOT NULL REFERENCES images(manifest) ON DELETE CASCADE,
  digest TEXT NOT NULL,
  diff_id TEXT,
  position INTEGER NOT NULL,
  PRIMARY KEY (manifest, position)
) STRICT;
CREATE INDEX image_blobs_digest ON image_blobs(digest);
CREATE TABLE image_names (
  name TEXT PRIMARY KEY,
  manifest TEXT NOT NULL REFERENCES images(manifest),
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX image_names_manifest ON image_names(manifest);
`
