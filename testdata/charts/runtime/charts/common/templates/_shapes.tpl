{{/*
Shapes that several schemas use, in the shorthand of common.schema.fill.
*/}}
{{- define "common.shape.metadata" -}}
labels: map
annotations: map
{{- end }}

{{- define "common.shape.condition" -}}
type!: string
status!: one of True False Unknown
reason: string
message: string
observedGeneration: integer
lastTransitionTime: time
{{- end }}

{{- define "common.shape.labelSelector" -}}
matchLabels: map
matchExpressions:
- key!: string
  operator!: string
  values: [string]
{{- end }}

{{- define "common.shape.keySelector" -}}
name: string
key!: string
optional: boolean
{{- end }}

{{- define "common.shape.env" -}}
name!: string
value: string
valueFrom:
  configMapKeyRef: "@keySelector"
  secretKeyRef: "@keySelector"
  fieldRef: {apiVersion: string, fieldPath!: string}
  resourceFieldRef: {containerName: string, resource!: string, divisor: quantity}
{{- end }}

{{- define "common.shape.action" -}}
exec: {command: [string]}
httpGet:
  host: string
  path: string
  port!: int-or-string
  scheme: one of HTTP HTTPS
  httpHeaders:
  - {name!: string, value!: string}
tcpSocket: {host: string, port!: int-or-string}
{{- end }}

{{- define "common.shape.probe" -}}
exec: {command: [string]}
httpGet: {host: string, path: string, port!: int-or-string, scheme: string}
grpc: {port!: integer, service: string}
tcpSocket: {host: string, port!: int-or-string}
initialDelaySeconds: integer
periodSeconds: integer
timeoutSeconds: integer
successThreshold: integer
failureThreshold: integer
terminationGracePeriodSeconds: integer
{{- end }}

{{- define "common.shape.securityContext" -}}
allowPrivilegeEscalation: boolean
privileged: boolean
readOnlyRootFilesystem: boolean
runAsNonRoot: boolean
runAsUser: integer
runAsGroup: integer
capabilities: {add: [string], drop: [string]}
seccompProfile: {type!: string, localhostProfile: string}
seLinuxOptions: {level: string, role: string, type: string, user: string}
{{- end }}

{{- define "common.shape.container" -}}
name: string
image: string
imagePullPolicy: one of Always IfNotPresent Never
command: [string]
args: [string]
workingDir: string
env: ["@env"]
envFrom:
- prefix: string
  configMapRef: {name: string, optional: boolean}
  secretRef: {name: string, optional: boolean}
ports:
- {name: string, containerPort!: integer, hostPort: integer, hostIP: string, protocol: string}
resources:
  limits: any
  requests: any
  claims:
  - {name!: string, request: string}
lifecycle:
  postStart: "@action"
  preStop: "@action"
livenessProbe: "@probe"
readinessProbe: "@probe"
startupProbe: "@probe"
restartPolicy: string
securityContext: "@securityContext"
stdin: boolean
stdinOnce: boolean
tty: boolean
terminationMessagePath: string
terminationMessagePolicy: string
volumeDevices:
- {name!: string, devicePath!: string}
volumeMounts:
- name!: string
  mountPath!: string
  mountPropagation: string
  readOnly: boolean
  subPath: string
  subPathExpr: string
{{- end }}

{{- define "common.shape.keyPaths" -}}
name: string
secretName: string
optional: boolean
defaultMode: integer
items:
- {key!: string, path!: string, mode: integer}
{{- end }}

{{- define "common.shape.volume" -}}
name!: string
configMap: "@keyPaths"
secret: "@keyPaths"
emptyDir: {medium: string, sizeLimit: quantity}
hostPath: {path!: string, type: string}
persistentVolumeClaim: {claimName!: string, readOnly: boolean}
nfs: {server!: string, path!: string, readOnly: boolean}
csi: {driver!: string, fsType: string, readOnly: boolean, volumeAttributes: map}
projected:
  defaultMode: integer
  sources:
  - configMap: "@keyPaths"
    secret: "@keyPaths"
    serviceAccountToken: {audience: string, expirationSeconds: integer, path!: string}
ephemeral:
  volumeClaimTemplate:
    metadata: "@metadata"
    spec: {accessModes: [string], storageClassName: string, resources: any, selector: "@labelSelector"}
{{- end }}

{{- define "common.shape.nodeTerms" -}}
matchExpressions:
- {key!: string, operator!: string, values: [string]}
matchFields:
- {key!: string, operator!: string, values: [string]}
{{- end }}

{{- define "common.shape.podTerm" -}}
labelSelector: "@labelSelector"
namespaceSelector: "@labelSelector"
namespaces: [string]
topologyKey!: string
{{- end }}

{{- define "common.shape.podAffinity" -}}
preferredDuringSchedulingIgnoredDuringExecution:
- {weight!: integer, podAffinityTerm!: "@podTerm"}
requiredDuringSchedulingIgnoredDuringExecution: ["@podTerm"]
{{- end }}

{{- define "common.shape.affinity" -}}
nodeAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
  - {weight!: integer, preference!: "@nodeTerms"}
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms!: ["@nodeTerms"]
podAffinity: "@podAffinity"
podAntiAffinity: "@podAffinity"
{{- end }}

{{- define "common.shape.toleration" -}}
key: string
operator: string
value: string
effect: string
tolerationSeconds: integer
{{- end }}

{{- define "common.shape.podSpec" -}}
activeDeadlineSeconds: integer
affinity: "@affinity"
automountServiceAccountToken: boolean
containers!: ["@container"]
initContainers: ["@container"]
dnsConfig:
  nameservers: [string]
  searches: [string]
  options:
  - {name: string, value: string}
dnsPolicy: string
hostAliases:
- {ip!: string, hostnames: [string]}
hostNetwork: boolean
imagePullSecrets:
- name: string
nodeName: string
nodeSelector: map
priorityClassName: string
restartPolicy: string
schedulerName: string
securityContext: any
serviceAccountName: string
terminationGracePeriodSeconds: integer
tolerations: ["@toleration"]
topologySpreadConstraints:
- {maxSkew!: integer, topologyKey!: string, whenUnsatisfiable!: string, labelSelector: "@labelSelector"}
volumes: ["@volume"]
{{- end }}

{{- define "common.shape.podTemplate" -}}
metadata: "@metadata"
spec: "@podSpec"
{{- end }}
