-- Assessments by place in the scheme: leaves in their order, and those of one after the other.
CREATE INDEX indicators_order ON indicators (tenant_id, print_order);
