-- Assessments and tasks by place in the scheme: leaves and items in their order, and those of one after the other.
CREATE INDEX indicators_order ON indicators (tenant_id, print_order);
CREATE INDEX scheme_version_items_order ON scheme_version_items (tenant_id, position);

-- Newest first, and of equals the newest first: read from the end.
DROP INDEX cycles_starts, events_day, publications_newest, jobs_newest;
CREATE INDEX cycles_starts ON cycles (tenant_id, starts_on, id);
CREATE INDEX events_day ON events (tenant_id, cycle_id, happened_on, id);
CREATE INDEX publications_newest ON publications (tenant_id, published_at, id);
CREATE INDEX jobs_newest ON jobs (tenant_id, requested_at, id);
