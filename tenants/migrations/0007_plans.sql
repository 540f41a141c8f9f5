-- Items that seem to ask the same are found by their names.
CREATE INDEX data_items_name ON data_items (tenant_id, name_key);
