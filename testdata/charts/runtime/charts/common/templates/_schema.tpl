{{/*
Structural schemas from a shorthand, so that a chart's schemas/*.yaml stay short while what they render has the weight of real ones.
  a word      string, integer, boolean, number: the type; a "?" after it makes it nullable
  any         an object of any shape
  map         an object from strings to strings
  time        a date and time
  quantity, int-or-string
  one of a b  an enumeration
  @name       the shape of the template common.shape.NAME
  a list      an array; its one item is the shorthand of the items
  a map       an object; a key that ends in "!" is required
common.schema.fill writes the schema of "in" into the map "out"; "name" and "owner" are for the description of what is no scalar.
*/}}
{{- define "common.schema.fill" -}}
{{- $out := .out -}}
{{- $name := .name -}}
{{- if and $name (not (kindIs "string" .in)) -}}
{{- $words := $name | snakecase | replace "_" " " -}}
{{- $_ := set $out "description" (printf "Sets the %s of the %s. When it is left out, the controller takes what its own configuration names for the %s, and reports it in the status." $words .owner $words) -}}
{{- end -}}
{{- if kindIs "map" .in -}}
  {{- $properties := dict -}}
  {{- $required := list -}}
  {{- range $key, $value := .in -}}
    {{- $field := trimSuffix "!" $key -}}
    {{- if ne $field $key -}}{{- $required = append $required $field -}}{{- end -}}
    {{- $schema := dict -}}
    {{- include "common.schema.fill" (dict "out" $schema "in" $value "name" $field "owner" ($name | default "object")) -}}
    {{- $_ := set $properties $field $schema -}}
  {{- end -}}
  {{- $_ := set $out "type" "object" -}}
  {{- $_ := set $out "properties" $properties -}}
  {{- if $required -}}{{- $_ := set $out "required" $required -}}{{- end -}}
{{- else if kindIs "slice" .in -}}
  {{- $items := dict -}}
  {{- include "common.schema.fill" (dict "out" $items "in" (first .in) "owner" $name) -}}
  {{- $_ := set $out "type" "array" -}}
  {{- $_ := set $out "items" $items -}}
{{- else if hasPrefix "@" .in -}}
  {{- $shape := include (printf "common.shape.%s" (trimPrefix "@" .in)) . | fromYaml -}}
  {{- include "common.schema.fill" (dict "out" $out "in" $shape "name" $name "owner" .owner) -}}
{{- else -}}
  {{- $type := trimSuffix "?" .in -}}
  {{- if ne $type .in -}}{{- $_ := set $out "nullable" true -}}{{- end -}}
  {{- if eq $type "any" -}}
    {{- $_ := set $out "type" "object" -}}
    {{- $_ := set $out "x-kubernetes-preserve-unknown-fields" true -}}
  {{- else if eq $type "map" -}}
    {{- $_ := set $out "type" "object" -}}
    {{- $_ := set $out "additionalProperties" (dict "type" "string") -}}
  {{- else if eq $type "time" -}}
    {{- $_ := set $out "type" "string" -}}
    {{- $_ := set $out "format" "date-time" -}}
  {{- else if or (eq $type "quantity") (eq $type "int-or-string") -}}
    {{- $_ := set $out "anyOf" (list (dict "type" "integer") (dict "type" "string")) -}}
    {{- $_ := set $out "x-kubernetes-int-or-string" true -}}
  {{- else if hasPrefix "one of " $type -}}
    {{- $_ := set $out "type" "string" -}}
    {{- $_ := set $out "enum" (splitList " " (trimPrefix "one of " $type)) -}}
  {{- else -}}
    {{- $_ := set $out "type" $type -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/*
Schema of a whole object. Takes spec and status, both in shorthand, status optional.
*/}}
{{- define "common.schema" -}}
{{- $spec := dict -}}
{{- include "common.schema.fill" (dict "out" $spec "in" .spec "name" "spec" "owner" "object") -}}
{{- $properties := dict "apiVersion" (dict "type" "string") "kind" (dict "type" "string") "metadata" (dict "type" "object") "spec" $spec -}}
{{- with .status -}}
  {{- $status := dict -}}
  {{- include "common.schema.fill" (dict "out" $status "in" . "name" "status" "owner" "object") -}}
  {{- $_ := set $properties "status" $status -}}
{{- end -}}
{{- toYaml (dict "type" "object" "required" (list "metadata" "spec") "properties" $properties) -}}
{{- end }}

{{/*
A CustomResourceDefinition. Takes root and definition, the content of a file of schemas/.
*/}}
{{- define "common.crd" -}}
{{- $root := .root }}
{{- with .definition }}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {{ .plural }}.argoproj.io
  {{- if .generated }}
  creationTimestamp: null
  {{- end }}
  labels:
    app.kubernetes.io/name: {{ .plural }}.argoproj.io
    app.kubernetes.io/part-of: {{ $root.Chart.Name }}
  annotations:
    {{- if $root.Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
    {{- with $root.Values.crds.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  group: argoproj.io
  scope: {{ .scope | default "Namespaced" }}
  names:
    kind: {{ .kind }}
    listKind: {{ .kind }}List
    plural: {{ .plural }}
    singular: {{ .kind | lower }}
    {{- with .shortNames }}
    shortNames: {{ toJson . }}
    {{- end }}
  {{- if hasKey . "preserveUnknownFields" }}
  preserveUnknownFields: {{ .preserveUnknownFields }}
  {{- end }}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    {{- with .columns }}
    additionalPrinterColumns:
    {{- range . }}
    - name: {{ .name }}
      type: {{ .type | default "string" }}
      jsonPath: {{ .path }}
      {{- with .priority }}
      priority: {{ . }}
      {{- end }}
    {{- end }}
    {{- end }}
    {{- if .statusSubresource }}
    subresources:
      status: {}
    {{- end }}
    schema:
      openAPIV3Schema:
        {{- include "common.schema" . | nindent 8 }}
{{- if .generated }}
status:
  acceptedNames:
    kind: ""
    plural: ""
  conditions: []
  storedVersions: []
{{- end }}
{{- end }}
{{- end }}

{{/*
All definitions of the calling chart's schemas folder. Takes the root.
*/}}
{{- define "common.crds" -}}
{{- $root := . }}
{{- range $path, $content := .Files.Glob "schemas/*.yaml" }}
{{- include "common.crd" (dict "root" $root "definition" ($root.Files.Get $path | fromYaml)) }}
{{- end }}
{{- end }}
