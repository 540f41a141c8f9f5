-- The orders that `cycle.tasks` and `cycle.assessments` have of themselves: a page is read without the whole cycle.
CREATE INDEX tasks_due ON tasks (tenant_id, cycle_id, due_at, position, id);
CREATE INDEX assessments_unit ON assessments (tenant_id, cycle_id, cycle_unit_id, id);
