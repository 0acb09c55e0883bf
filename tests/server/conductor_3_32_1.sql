BEGIN TRANSACTION;
CREATE TABLE event_execution (
  event_handler_name TEXT NOT NULL,
  event_name TEXT NOT NULL,
  execution_id TEXT NOT NULL,
  message_id TEXT NOT NULL,
  json_data TEXT NOT NULL,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (event_handler_name, event_name, execution_id)
);
CREATE TABLE file_metadata (
    file_id                 VARCHAR(255)  NOT NULL PRIMARY KEY,
    file_name               VARCHAR(1024) NOT NULL,
    content_type            VARCHAR(255)  NOT NULL,
    storage_content_hash    VARCHAR(255),
    storage_content_size    BIGINT,
    storage_type            VARCHAR(50)   NOT NULL,
    storage_path            VARCHAR(2048) NOT NULL,
    upload_status           VARCHAR(50)   NOT NULL DEFAULT 'UPLOADING',
    workflow_id             VARCHAR(255)  NOT NULL,
    task_id                 VARCHAR(255),
    created_at              TIMESTAMP     NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at              TIMESTAMP     NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE "flyway_schema_history" (
    "installed_rank" INT NOT NULL PRIMARY KEY,
    "version" VARCHAR(50),
    "description" VARCHAR(200) NOT NULL,
    "type" VARCHAR(20) NOT NULL,
    "script" VARCHAR(1000) NOT NULL,
    "checksum" INT,
    "installed_by" VARCHAR(100) NOT NULL,
    "installed_on" TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f','now')),
    "execution_time" INT NOT NULL,
    "success" BOOLEAN NOT NULL
);
INSERT INTO "flyway_schema_history" VALUES(1,'1','initial schema','SQL','V1__initial_schema.sql',-1032654456,'','2026-11-27 07:03:43.924',11,1);
INSERT INTO "flyway_schema_history" VALUES(2,'2','parent workflow id','SQL','V2__parent_workflow_id.sql',-1858920708,'','2026-11-27 07:03:43.936',2,1);
INSERT INTO "flyway_schema_history" VALUES(3,'3','file metadata','SQL','V3__file_metadata.sql',-920687990,'','2026-11-27 07:03:43.946',1,1);
INSERT INTO "flyway_schema_history" VALUES(4,'4','agentspan skills','SQL','V4__agentspan_skills.sql',575198639,'','2026-11-27 07:03:43.956',2,1);
INSERT INTO "flyway_schema_history" VALUES(5,'5','workflow index classifier','SQL','V5__workflow_index_classifier.sql',2006326567,'','2026-11-27 07:03:43.965',1,1);
INSERT INTO "flyway_schema_history" VALUES(6,'6','index timestamps to utc','SQL','V6__index_timestamps_to_utc.sql',-326448294,'','2026-11-27 07:03:43.971',0,1);
INSERT INTO "flyway_schema_history" VALUES(7,'7','index end time','SQL','V7__index_end_time.sql',-284443083,'','2026-11-27 07:03:43.984',1,1);
CREATE TABLE "flyway_schema_history_scheduler" (
    "installed_rank" INT NOT NULL PRIMARY KEY,
    "version" VARCHAR(50),
    "description" VARCHAR(200) NOT NULL,
    "type" VARCHAR(20) NOT NULL,
    "script" VARCHAR(1000) NOT NULL,
    "checksum" INT,
    "installed_by" VARCHAR(100) NOT NULL,
    "installed_on" TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f','now')),
    "execution_time" INT NOT NULL,
    "success" BOOLEAN NOT NULL
);
INSERT INTO "flyway_schema_history_scheduler" VALUES(1,'0','<< Flyway Baseline >>','BASELINE','<< Flyway Baseline >>',NULL,'','2026-11-27 07:03:46.528',0,1);
INSERT INTO "flyway_schema_history_scheduler" VALUES(2,'1','scheduler tables','SQL','V1__scheduler_tables.sql',41141460,'','2026-11-27 07:03:46.551',5,1);
INSERT INTO "flyway_schema_history_scheduler" VALUES(3,'2','scheduler next run table','SQL','V2__scheduler_next_run_table.sql',1557493087,'','2026-11-27 07:03:46.557',1,1);
CREATE TABLE locks (
    lock_id TEXT NOT NULL,
    lease_expiration DATETIME NOT NULL,
    PRIMARY KEY (lock_id)
);
CREATE TABLE meta_event_handler (
  id integer PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  event TEXT NOT NULL,
  active INTEGER NOT NULL,
  json_data TEXT NOT NULL,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE meta_task_def (
  name TEXT NOT NULL PRIMARY KEY,
  json_data TEXT NOT NULL,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE meta_workflow_def (
    created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
    modified_on DATETIME DEFAULT CURRENT_TIMESTAMP,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    latest_version INTEGER DEFAULT 0 NOT NULL,
    json_data TEXT NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE TABLE poll_data (
  queue_name TEXT NOT NULL,
  domain TEXT NOT NULL,
  json_data TEXT NOT NULL,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (queue_name, domain)
);
CREATE TABLE queue (
  queue_name TEXT NOT NULL PRIMARY KEY,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO "queue" VALUES('_deciderQueue','2026-11-27 07:03:55');
INSERT INTO "queue" VALUES('WAIT','2026-11-27 07:04:01');
CREATE TABLE queue_message (
  queue_name TEXT NOT NULL,
  message_id TEXT NOT NULL,
  deliver_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  priority INTEGER DEFAULT 0,
  popped INTEGER DEFAULT 0,
  offset_time_seconds INTEGER,
  payload TEXT,
  created_on DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (queue_name, message_id)
);
INSERT INTO "queue_message" VALUES('_deciderQueue','33ee972f-2b85-4cdc-91d3-1b2ef7622537','2026-11-27 07:04:31.001',0,0,30,NULL,'2026-11-27 07:04:01');
INSERT INTO "queue_message" VALUES('WAIT','5df4baf1-bc51-47b6-851c-5bd0a54a1db0','2094-12-15 10:18:08.018',0,0,2147483647,NULL,'2026-11-27 07:04:01');
CREATE TABLE scheduler (
    scheduler_name VARCHAR(255) NOT NULL,
    workflow_name  VARCHAR(255) NOT NULL,
    json_data      TEXT         NOT NULL,
    next_run_time  BIGINT,
    PRIMARY KEY (scheduler_name)
);
CREATE TABLE scheduler_execution (
    execution_id  VARCHAR(255) NOT NULL,
    schedule_name VARCHAR(255) NOT NULL,
    state         VARCHAR(50)  NOT NULL,
    json_data     TEXT         NOT NULL,
    PRIMARY KEY (execution_id)
);
CREATE TABLE scheduler_next_run (
    key          TEXT    NOT NULL,
    epoch_millis INTEGER NOT NULL,
    PRIMARY KEY (key)
);
CREATE TABLE skill_metadata (
    name        VARCHAR(255)  NOT NULL,
    version     VARCHAR(255)  NOT NULL,
    is_latest   BOOLEAN       NOT NULL DEFAULT 0,
    detail_json TEXT          NOT NULL,
    created_at  BIGINT,
    updated_at  BIGINT,
    PRIMARY KEY (name, version)
);
CREATE TABLE skill_package (
    handle     VARCHAR(255) NOT NULL PRIMARY KEY,
    data       TEXT         NOT NULL,
    size_bytes BIGINT,
    created_at BIGINT
);
CREATE TABLE task (
  task_id TEXT NOT NULL PRIMARY KEY,
  json_data TEXT NOT NULL,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO "task" VALUES('5df4baf1-bc51-47b6-851c-5bd0a54a1db0','{"taskType":"WAIT","status":"IN_PROGRESS","referenceTaskName":"wait","retryCount":0,"seq":1,"pollCount":0,"taskDefName":"wait","scheduledTime":1795763041012,"startTime":1795763041009,"endTime":0,"updateTime":0,"startDelayInSeconds":0,"retried":false,"executed":false,"callbackFromWorker":true,"responseTimeoutSeconds":0,"workflowInstanceId":"33ee972f-2b85-4cdc-91d3-1b2ef7622537","workflowType":"w","taskId":"5df4baf1-bc51-47b6-851c-5bd0a54a1db0","callbackAfterSeconds":2147483647,"callbackAfterMs":0,"firstScheduledTime":1795763041010,"workflowTask":{"name":"wait","taskReferenceName":"wait","inputParameters":{},"type":"WAIT","decisionCases":{},"defaultCase":[],"forkTasks":[],"startDelay":0,"joinOn":[],"optional":false,"taskDefinition":{"createTime":0,"updateTime":0,"name":"wait","retryCount":0,"timeoutSeconds":0,"inputKeys":[],"outputKeys":[],"runtimeMetadata":[],"timeoutPolicy":"TIME_OUT_WF","retryLogic":"FIXED","retryDelaySeconds":60,"responseTimeoutSeconds":0,"inputTemplate":{},"rateLimitPerFrequency":0,"rateLimitFrequencyInSeconds":1,"backoffScaleFactor":1,"maxRetryDelaySeconds":0,"backoffJitterMs":0,"totalTimeoutSeconds":0,"taskStatusListenerEnabled":true,"enforceSchema":false},"defaultExclusiveJoinTask":[],"asyncComplete":false,"loopOver":[],"onStateChange":{},"permissive":false,"metadata":{}},"rateLimitPerFrequency":0,"rateLimitFrequencyInSeconds":0,"workflowPriority":0,"iteration":0,"waitTimeout":0,"subworkflowChanged":false,"onStateChange":{},"idempotent":false,"cachedOutput":false,"notifications":{},"nonWorkflowEventTask":false,"asyncComplete":false,"taskDefinition":{"createTime":0,"updateTime":0,"name":"wait","retryCount":0,"timeoutSeconds":0,"inputKeys":[],"outputKeys":[],"runtimeMetadata":[],"timeoutPolicy":"TIME_OUT_WF","retryLogic":"FIXED","retryDelaySeconds":60,"responseTimeoutSeconds":0,"inputTemplate":{},"rateLimitPerFrequency":0,"rateLimitFrequencyInSeconds":1,"backoffScaleFactor":1,"maxRetryDelaySeconds":0,"backoffJitterMs":0,"totalTimeoutSeconds":0,"taskStatusListenerEnabled":true,"enforceSchema":false},"loopOverTask":false,"queueWaitTime":-3,"idempotentExecution":false,"inputData":{},"outputData":{}}','2026-11-27 07:04:01','2026-11-27 07:04:01');
CREATE TABLE task_execution_logs (
    log_id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL,
    log TEXT NOT NULL,
    created_time DATETIME NOT NULL
);
CREATE TABLE task_in_progress (
  task_def_name TEXT NOT NULL,
  task_id TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  in_progress_status INTEGER NOT NULL DEFAULT 0,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (task_def_name, task_id)
);
INSERT INTO "task_in_progress" VALUES('wait','5df4baf1-bc51-47b6-851c-5bd0a54a1db0','33ee972f-2b85-4cdc-91d3-1b2ef7622537',0,'2026-11-27 07:04:01','2026-11-27 07:04:01');
CREATE TABLE task_index (
    task_id TEXT NOT NULL,
    task_type TEXT NOT NULL,
    task_def_name TEXT NOT NULL,
    status TEXT NOT NULL,
    start_time DATETIME NOT NULL,
    update_time DATETIME NOT NULL,
    workflow_type TEXT NOT NULL,
    json_data TEXT NOT NULL, end_time DATETIME NOT NULL DEFAULT '1970-01-01 00:00:00.000',
    PRIMARY KEY (task_id)
);
CREATE TABLE task_scheduled (
  workflow_id TEXT NOT NULL,
  task_key TEXT NOT NULL,
  task_id TEXT NOT NULL,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (workflow_id, task_key)
);
INSERT INTO "task_scheduled" VALUES('33ee972f-2b85-4cdc-91d3-1b2ef7622537','wait_0','5df4baf1-bc51-47b6-851c-5bd0a54a1db0','2026-11-27 07:04:01','2026-11-27 07:04:01');
CREATE TABLE workflow (
  workflow_id TEXT NOT NULL PRIMARY KEY,
  correlation_id TEXT,
  json_data TEXT NOT NULL,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO "workflow" VALUES('33ee972f-2b85-4cdc-91d3-1b2ef7622537',NULL,'{"status":"RUNNING","endTime":0,"workflowId":"33ee972f-2b85-4cdc-91d3-1b2ef7622537","tasks":[],"taskToDomain":{},"workflowDefinition":{"createTime":0,"updateTime":0,"name":"w","version":1,"tasks":[{"name":"wait","taskReferenceName":"wait","inputParameters":{},"type":"WAIT","decisionCases":{},"defaultCase":[],"forkTasks":[],"startDelay":0,"joinOn":[],"optional":false,"taskDefinition":{"createTime":0,"updateTime":0,"name":"wait","retryCount":0,"timeoutSeconds":0,"inputKeys":[],"outputKeys":[],"runtimeMetadata":[],"timeoutPolicy":"TIME_OUT_WF","retryLogic":"FIXED","retryDelaySeconds":60,"responseTimeoutSeconds":0,"inputTemplate":{},"rateLimitPerFrequency":0,"rateLimitFrequencyInSeconds":1,"backoffScaleFactor":1,"maxRetryDelaySeconds":0,"backoffJitterMs":0,"totalTimeoutSeconds":0,"taskStatusListenerEnabled":true,"enforceSchema":false},"defaultExclusiveJoinTask":[],"asyncComplete":false,"loopOver":[],"onStateChange":{},"permissive":false,"metadata":{}}],"inputParameters":[],"outputParameters":{},"schemaVersion":2,"restartable":true,"workflowStatusListenerEnabled":false,"ownerEmail":"a@b.c","timeoutPolicy":"ALERT_ONLY","timeoutSeconds":0,"variables":{},"inputTemplate":{},"enforceSchema":true,"metadata":{},"maskedFields":[]},"priority":0,"variables":{},"lastRetriedTime":0,"ownerApp":"","createTime":1795763040996,"updatedTime":1795763041023,"workflowName":"w","workflowVersion":1,"input":{},"output":{}}','2026-11-27 07:04:00','2026-11-27 07:04:01');
CREATE TABLE workflow_def_to_workflow (
  workflow_def TEXT NOT NULL,
  date_str TEXT,
  workflow_id TEXT NOT NULL,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (workflow_def, date_str, workflow_id)
);
INSERT INTO "workflow_def_to_workflow" VALUES('w','20261127','33ee972f-2b85-4cdc-91d3-1b2ef7622537','2026-11-27 07:04:00','2026-11-27 07:04:00');
CREATE TABLE workflow_index (
    workflow_id TEXT NOT NULL,
    correlation_id TEXT,
    workflow_type TEXT NOT NULL,
    start_time DATETIME NOT NULL,
    status TEXT NOT NULL,
    json_data TEXT NOT NULL,  -- SQLite doesn't have JSONB, storing as TEXT
    update_time DATETIME NOT NULL DEFAULT '1970-01-01 00:00:00', parent_workflow_id TEXT NOT NULL DEFAULT '', classifier TEXT, end_time DATETIME NOT NULL DEFAULT '1970-01-01 00:00:00.000',
    PRIMARY KEY (workflow_id)
);
INSERT INTO "workflow_index" VALUES('33ee972f-2b85-4cdc-91d3-1b2ef7622537',NULL,'w','2026-11-27 07:04:00.996','RUNNING','{"workflowType":"w","version":1,"workflowId":"33ee972f-2b85-4cdc-91d3-1b2ef7622537","startTime":"2026-11-27T07:04:00.996Z","updateTime":"2026-11-27T07:04:01.023Z","status":"RUNNING","input":"{}","output":"{}","executionTime":0,"failedReferenceTaskNames":"","priority":0,"failedTaskNames":[],"taskToDomain":{},"parentWorkflowId":"","classifier":"workflow","inputSize":2,"outputSize":2}','2026-11-27 07:04:01.023','','workflow','1970-01-01 00:00:00.000');
CREATE TABLE workflow_pending (
  workflow_type TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (workflow_type, workflow_id)
);
INSERT INTO "workflow_pending" VALUES('w','33ee972f-2b85-4cdc-91d3-1b2ef7622537','2026-11-27 07:04:01','2026-11-27 07:04:01');
CREATE TABLE workflow_scheduled_executions (
    execution_id           VARCHAR(255) NOT NULL,
    schedule_name          VARCHAR(255) NOT NULL,
    workflow_name          VARCHAR(255),
    workflow_id            VARCHAR(255),
    reason                 VARCHAR(1024),
    stack_trace            TEXT,
    state                  VARCHAR(50)  NOT NULL,
    scheduled_time         BIGINT       NOT NULL,
    execution_time         BIGINT,
    start_workflow_request TEXT,
    PRIMARY KEY (execution_id)
);
CREATE TABLE workflow_to_task (
  workflow_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  created_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  modified_on DATETIME DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (workflow_id, task_id)
);
INSERT INTO "workflow_to_task" VALUES('33ee972f-2b85-4cdc-91d3-1b2ef7622537','5df4baf1-bc51-47b6-851c-5bd0a54a1db0','2026-11-27 07:04:01','2026-11-27 07:04:01');
CREATE INDEX "flyway_schema_history_s_idx" ON "flyway_schema_history" ("success");
CREATE INDEX workflow_def_name_index ON meta_workflow_def(name);
CREATE INDEX poll_data_queue_name_idx ON poll_data(queue_name);
CREATE INDEX workflow_type_index ON workflow_pending (workflow_type);
CREATE INDEX workflow_id_index ON workflow_to_task(workflow_id);
CREATE INDEX task_execution_logs_task_id_idx ON task_execution_logs(task_id);
CREATE INDEX workflow_index_correlation_id_idx ON workflow_index(correlation_id);
CREATE INDEX workflow_index_start_time_idx ON workflow_index(start_time);
CREATE INDEX workflow_index_status_idx ON workflow_index(status);
CREATE INDEX workflow_index_workflow_type_idx ON workflow_index(workflow_type);
CREATE INDEX task_index_status_idx ON task_index(status);
CREATE INDEX task_index_task_def_name_idx ON task_index(task_def_name);
CREATE INDEX task_index_task_id_idx ON task_index(task_id);
CREATE INDEX task_index_task_type_idx ON task_index(task_type);
CREATE INDEX task_index_update_time_idx ON task_index(update_time);
CREATE INDEX task_index_workflow_type_idx ON task_index(workflow_type);
CREATE INDEX idx_event_handler_name ON meta_event_handler (name);
CREATE INDEX idx_event_handler_event ON meta_event_handler (event);
CREATE INDEX idx_workflow_def_name ON meta_workflow_def (name);
CREATE INDEX idx_workflow_correlation ON workflow (correlation_id);
CREATE INDEX idx_queue_message_combo ON queue_message (queue_name, priority DESC, popped, deliver_on, created_on);
CREATE INDEX workflow_index_parent_workflow_id_idx ON workflow_index (parent_workflow_id);
CREATE INDEX idx_file_metadata_workflow_id   ON file_metadata (workflow_id);
CREATE INDEX idx_file_metadata_task_id       ON file_metadata (task_id);
CREATE INDEX idx_file_metadata_upload_status ON file_metadata (upload_status);
CREATE INDEX workflow_index_classifier_idx ON workflow_index (classifier, start_time);
CREATE INDEX workflow_index_end_time_idx ON workflow_index(end_time);
CREATE INDEX task_index_end_time_idx ON task_index(end_time);
CREATE INDEX "flyway_schema_history_scheduler_s_idx" ON "flyway_schema_history_scheduler" ("success");
CREATE INDEX scheduler_workflow_name_idx
    ON scheduler (workflow_name);
CREATE INDEX scheduler_next_run_time_idx
    ON scheduler (next_run_time);
CREATE INDEX scheduler_execution_schedule_name_idx
    ON scheduler_execution (schedule_name);
CREATE INDEX scheduler_execution_state_idx
    ON scheduler_execution (state);
CREATE INDEX workflow_scheduled_executions_schedule_name_idx
    ON workflow_scheduled_executions (schedule_name);
CREATE INDEX workflow_scheduled_executions_execution_time_idx
    ON workflow_scheduled_executions (execution_time);
DELETE FROM "sqlite_sequence";
COMMIT;