{{- define "common.shape.parameter" -}}
name!: string
value: string?
default: string?
description: string
enum: [string]
globalName: string
valueFrom:
  configMapKeyRef: "@keySelector"
  default: string
  event: string
  expression: string
  jqFilter: string
  jsonPath: string
  parameter: string
  path: string
  supplied: any
{{- end }}

{{- define "common.shape.artifact" -}}
name!: string
path: string
from: string
mode: integer
optional: boolean
archive: {none: any, tar: {compressionLevel: integer}, zip: any}
artifactGC: {strategy: string, serviceAccountName: string, podMetadata: "@metadata"}
git:
  repo!: string
  branch: string
  depth: integer
  revision: string
  usernameSecret: "@keySelector"
  passwordSecret: "@keySelector"
  sshPrivateKeySecret: "@keySelector"
http:
  url!: string
  headers:
  - {name!: string, value!: string}
raw: {data!: string}
s3:
  bucket: string
  endpoint: string
  insecure: boolean
  key: string
  region: string
  roleARN: string
  accessKeySecret: "@keySelector"
  secretKeySecret: "@keySelector"
gcs:
  bucket: string
  key!: string
  serviceAccountKeySecret: "@keySelector"
oss:
  bucket: string
  endpoint: string
  key!: string
  accessKeySecret: "@keySelector"
  secretKeySecret: "@keySelector"
azure:
  blob!: string
  container!: string
  endpoint!: string
  accountKeySecret: "@keySelector"
{{- end }}

{{- define "common.shape.arguments" -}}
parameters: ["@parameter"]
artifacts: ["@artifact"]
{{- end }}

{{- define "common.shape.outputs" -}}
exitCode: string
result: string
parameters: ["@parameter"]
artifacts: ["@artifact"]
{{- end }}

{{- define "common.shape.step" -}}
name: string
template: string
templateRef: {name: string, template: string, clusterScope: boolean}
when: string
continueOn: {error: boolean, failed: boolean}
withItems: [any]
withParam: string
arguments: "@arguments"
hooks: any
{{- end }}

{{- define "common.shape.template" -}}
name: string
activeDeadlineSeconds: int-or-string
affinity: "@affinity"
archiveLocation: any
automountServiceAccountToken: boolean
container: "@container"
containerSet:
  containers!: ["@container"]
  volumeMounts:
  - {name!: string, mountPath!: string, readOnly: boolean}
dag:
  failFast: boolean
  target: string
  tasks!: ["@step"]
data: any
daemon: boolean
executor: {serviceAccountName: string}
failFast: boolean
hostAliases:
- {ip!: string, hostnames: [string]}
http:
  url!: string
  method: string
  body: string
  successCondition: string
  timeoutSeconds: integer
initContainers: ["@container"]
inputs: "@arguments"
memoize: {cache!: any, key!: string, maxAge!: string}
metadata: "@metadata"
nodeSelector: map
outputs: "@outputs"
parallelism: integer
plugin: any
podSpecPatch: string
priorityClassName: string
resource: {action!: string, manifest: string, mergeStrategy: string, successCondition: string, failureCondition: string}
retryStrategy:
  limit: int-or-string
  retryPolicy: string
  expression: string
  backoff: {duration: string, factor: int-or-string, maxDuration: string}
script: "@container"
securityContext: any
serviceAccountName: string
sidecars: ["@container"]
steps: [any]
suspend: {duration: string}
synchronization: {mutex: {name: string, namespace: string}, semaphore: {configMapKeyRef: "@keySelector"}}
timeout: string
tolerations: ["@toleration"]
volumes: ["@volume"]
{{- end }}

{{- define "common.shape.workflowSpec" -}}
activeDeadlineSeconds: integer
affinity: "@affinity"
archiveLogs: boolean
arguments: "@arguments"
artifactGC: {strategy: string, forceFinalizerRemoval: boolean, podSpecPatch: string}
automountServiceAccountToken: boolean
dnsPolicy: string
entrypoint: string
hostNetwork: boolean
imagePullSecrets:
- name: string
nodeSelector: map
onExit: string
parallelism: integer
podDisruptionBudget: {minAvailable: int-or-string, maxUnavailable: int-or-string, selector: "@labelSelector"}
podGC: {strategy: string, deleteDelayDuration: string, labelSelector: "@labelSelector"}
priority: integer
retryStrategy: any
schedulerName: string
securityContext: any
serviceAccountName: string
shutdown: string
suspend: boolean
templateDefaults: any
templates: ["@template"]
tolerations: ["@toleration"]
ttlStrategy: {secondsAfterCompletion: integer, secondsAfterFailure: integer, secondsAfterSuccess: integer}
volumeClaimGC: {strategy: string}
volumeClaimTemplates: [any]
volumes: ["@volume"]
workflowMetadata: "@metadata"
workflowTemplateRef: {name: string, clusterScope: boolean}
{{- end }}
