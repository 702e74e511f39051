{{/*
Head of a workload, up to the containers of its pods. Takes root, kind, component, replicas, account, serviceName (for a StatefulSet).
*/}}
{{- define "argo-cd.workload" -}}
{{- $of := dict "root" .root "name" (printf "argo-cd-%s" .component) "component" .component }}
apiVersion: apps/v1
kind: {{ .kind }}
metadata:
  {{- include "common.metadata" (merge (dict "namespace" .root.Release.Namespace) $of) | nindent 2 }}
spec:
  replicas: {{ .replicas }}
  revisionHistoryLimit: 3
  {{- with .serviceName }}
  serviceName: {{ . }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "common.selector" $of | nindent 6 }}
  template:
    metadata:
      annotations:
        checksum/cm: {{ .root.Values.configs.cm | toJson | sha256sum }}
        checksum/params: {{ .root.Values.configs.params | toJson | sha256sum }}
      labels:
        {{- include "common.labels" $of | nindent 8 }}
    spec:
      {{- with .account }}
      serviceAccountName: {{ . }}
      {{- end }}
      terminationGracePeriodSeconds: 30
{{- end }}

{{/*
Environment taken from argocd-cmd-params-cm. Takes a map from variable to key.
*/}}
{{- define "argo-cd.params" -}}
{{- range $variable, $key := . }}
- name: {{ $variable }}
  valueFrom:
    configMapKeyRef:
      name: argocd-cmd-params-cm
      key: {{ $key }}
      optional: true
{{- end }}
{{- end }}

{{- define "argo-cd.redis-password" -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: argocd-redis
      key: auth
      optional: true
{{- end }}

{{- define "argo-cd.restricted" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}
