{{/*
Policy rules from lines of the form "groups | resources | verbs", each a list with blanks between its items.
The core group is written "core". A fourth part restricts to resource names; one that is empty gives "resourceNames: null".
*/}}
{{- define "common.rules" -}}
{{- range . }}
{{- $parts := splitList "|" . }}
- apiGroups:
  {{- range splitList " " (trim (index $parts 0)) }}
  - {{ eq . "core" | ternary "" . | quote }}
  {{- end }}
  resources:
  {{- range splitList " " (trim (index $parts 1)) }}
  - {{ . | quote }}
  {{- end }}
  {{- if gt (len $parts) 3 }}
  resourceNames:
  {{- range compact (splitList " " (trim (index $parts 3))) }}
  - {{ . | quote }}
  {{- end }}
  {{- end }}
  verbs:
  {{- range splitList " " (trim (index $parts 2)) }}
  - {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
Roles and their bindings. Takes root and grants, a list of maps:
  name         of the role, and of the binding if there is no bindingName
  bindingName  name of the binding where it differs
  cluster      true for ClusterRole and ClusterRoleBinding
  namespace    where the template is to name one
  component    for the labels
  labels       further labels of the role
  annotations  of both objects (hooks)
  rules        lines as common.rules takes them; left out, there is no role; an empty list gives "rules: null"
  roleRef      kind and name where the binding refers to another role
  apiGroup     of the roleRef where it is not the usual one
  subject      name of a service account of the release's namespace; left out, there is no binding
  subjectGroup apiGroup of the subject, where it is to be written
*/}}
{{- define "common.rbac" -}}
{{- $root := .root }}
{{- range .grants }}
{{- $of := dict "root" $root "name" .name "component" .component "namespace" .namespace }}
{{- $prefix := .cluster | default false | ternary "Cluster" "" }}
{{- if hasKey . "rules" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $prefix }}Role
metadata:
  {{- include "common.metadata" $of | nindent 2 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
rules:
{{- include "common.rules" .rules }}
{{- end }}
{{- if .subject }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $prefix }}RoleBinding
metadata:
  {{- include "common.metadata" (merge (dict "name" (.bindingName | default .name)) $of) | nindent 2 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
roleRef:
  apiGroup: {{ dig "apiGroup" "rbac.authorization.k8s.io" . | quote }}
  kind: {{ dig "roleRef" "kind" (printf "%sRole" $prefix) . }}
  name: {{ dig "roleRef" "name" .name . }}
subjects:
- kind: ServiceAccount
  name: {{ .subject }}
  namespace: {{ $root.Release.Namespace }}
  {{- if hasKey . "subjectGroup" }}
  apiGroup: {{ .subjectGroup | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
A service account. Takes root, name, component, namespace (optional), annotations (optional; without them the key stays, empty),
labels "none" for an account without any, token false to keep the token out of pods.
*/}}
{{- define "common.serviceAccount" }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- if eq (.labels | default "") "none" }}
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  {{- else }}
  {{- include "common.metadata" . | nindent 2 }}
  {{- end }}
  annotations:
    {{- with .annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- if hasKey . "token" }}
automountServiceAccountToken: {{ .token }}
{{- end }}
{{ end }}
