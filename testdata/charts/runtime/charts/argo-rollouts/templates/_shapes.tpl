{{- define "common.shape.rolloutAnalysis" -}}
args:
- {name!: string, value: string, valueFrom: {podTemplateHashValue: string, fieldRef: {fieldPath!: string}}}
templates:
- {templateName: string, clusterScope: boolean}
startingStep: integer
{{- end }}

{{- define "common.shape.analysisArgument" -}}
name!: string
value: string?
valueFrom:
  secretKeyRef: {name!: string, key!: string}
  fieldRef: {fieldPath!: string}
{{- end }}

{{- define "common.shape.metric" -}}
name!: string
interval: string
initialDelay: string
count: int-or-string
failureLimit: int-or-string
inconclusiveLimit: int-or-string
successCondition: string
failureCondition: string
provider!:
  prometheus: {address: string, query: string, timeout: integer, insecure: boolean}
  datadog: {apiVersion: string, interval: string, query: string, queries: map}
  newRelic: {profile: string, query!: string, timeout: integer}
  web:
    url!: string
    method: one of GET POST PUT
    body: string
    insecure: boolean
    jsonPath: string
    timeoutSeconds: integer
    headers:
    - {key!: string, value!: string}
  job:
    metadata: "@metadata"
    spec:
      backoffLimit: integer
      completions: integer
      parallelism: integer
      activeDeadlineSeconds: integer
      template!: any
  plugin: any
{{- end }}
