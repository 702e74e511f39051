{{- define "small.labels" -}}
app.kubernetes.io/name: small
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "small.metadata" -}}
name: {{ .Release.Name }}
labels:
  {{- include "small.labels" . | nindent 2 }}
  {{- with .Values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
