{{/*
Labels that select the pods of a workload. Takes root, name, component (optional).
*/}}
{{- define "common.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/*
All labels of an object. Takes what common.selector takes.
*/}}
{{- define "common.labels" -}}
{{ include "common.selector" . }}
app.kubernetes.io/part-of: gitops-runtime
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/*
Name, labels and, where one is given, namespace of an object. Takes root, name, component, namespace (the last two optional).
*/}}
{{- define "common.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "common.labels" . | nindent 2 }}
{{- end }}

{{/*
Image reference. Takes a map with repository and tag.
*/}}
{{- define "common.image" -}}
{{ required "an image needs a repository" .repository }}:{{ required "an image needs a tag" .tag }}
{{- end }}

{{/*
An HTTP probe. Takes path, port and delay (optional).
*/}}
{{- define "common.probe" -}}
httpGet:
  path: {{ .path }}
  port: {{ .port }}
{{- if hasKey . "delay" }}
initialDelaySeconds: {{ .delay }}
{{- end }}
periodSeconds: 10
timeoutSeconds: 3
failureThreshold: 3
{{- end }}

{{/*
Annotations that make an object a hook. Takes events, weight and policy (both optional).
*/}}
{{- define "common.hook" -}}
helm.sh/hook: {{ .events }}
{{- if hasKey . "weight" }}
helm.sh/hook-weight: {{ .weight | quote }}
{{- end }}
{{- with .policy }}
helm.sh/hook-delete-policy: {{ . }}
{{- end }}
{{- end }}
